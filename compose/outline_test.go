package compose

import (
	"maps"
	"slices"
	"testing"
)

func TestOutline(t *testing.T) {
	o := OutlineOf([][]byte{
		[]byte("name: shop\nservices:\n  db: {image: x}\n  app: {build: .}\n  debug: {image: y, profiles: [debug]}\n"),
		[]byte("\tno yaml"),
		[]byte("services:\n  job: {image: z, profiles: [a, b]}\n  app: null\n  odd: [1]\n"),
	})
	if o.Name != "shop" || !maps.Equal(o.Build, map[string]bool{"app": true}) || len(o.Profiles) != 2 || !slices.Equal(o.Profiles["job"], []string{"a", "b"}) {
		t.Errorf("%+v", o)
	}
	if o := OutlineOf([][]byte{[]byte("name: shop-${STAGE}\n")}); o.Name != "" {
		t.Errorf("a name with a variable: %+v", o)
	}
}

func TestOutlineKnowsTheName(t *testing.T) {
	named, unnamed := Outline{Name: "shop"}, Outline{}
	for _, c := range []struct {
		o       Outline
		dir     string
		vars    map[string]string
		project string
		want    bool
	}{
		{named, "/srv/x", nil, "shop", true}, {named, "/srv/shop2", nil, "shop2", false}, {unnamed, "/srv/My.Shop", nil, "myshop", true},
		{unnamed, "/srv/x", nil, "shop", false}, {unnamed, "/srv/x", map[string]string{"COMPOSE_PROJECT_NAME": "shop"}, "shop", true},
	} {
		if got := c.o.Calls(c.dir, c.vars, c.project); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestFilesThatComposeFinds(t *testing.T) {
	for _, c := range []struct {
		files, beside []string
		want          bool
	}{
		{[]string{"compose.yaml"}, []string{"compose.yaml", ".env"}, true},
		{[]string{"compose.yaml"}, []string{"compose.yaml", "compose.override.yaml"}, false},
		{[]string{"docker-compose.yml", "docker-compose.override.yml"}, []string{"docker-compose.yml", "docker-compose.override.yml"}, true},
		{[]string{"docker-compose.yml"}, []string{"docker-compose.yml", "compose.yaml"}, false},
		{[]string{"prod.yml"}, []string{"prod.yml"}, false},
		{[]string{"a/compose.yaml"}, []string{"compose.yaml"}, false},
		{nil, nil, false},
	} {
		if got := Found(c.files, c.beside); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
