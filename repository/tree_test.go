package repository

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fullTree has every kind of node and every field set somewhere.
func fullTree() *Tree {
	sub := ID{1, 2, 3}
	return &Tree{Nodes: []*Node{
		fileNode("\x01\n\"\\<&>\u2028é\xff", []ID{{9}, {8}, {7}}, 12),
		dirNode("dir", sub),
		{Name: "dev", Type: NodeCharDevice, Mode: os.ModeDevice | os.ModeCharDevice | 0o666, Device: 259, Links: 1},
		{Name: "empty", Type: NodeFile, Content: []ID{}},
		{Name: "link", Type: NodeSymlink, Mode: os.ModeSymlink | 0o777, LinkTarget: "/etc/\xfe", Error: "odd"},
		{Name: "old", Type: NodeFIFO, ModTime: time.Date(1901, 2, 28, 23, 59, 59, 1, time.UTC),
			AccessTime: time.Date(2400, 2, 29, 0, 0, 0, 999_999_999, time.UTC), ChangeTime: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Name: "x", Type: NodeSocket, UID: 1<<32 - 1, GID: 1, Inode: 1<<64 - 1, DeviceID: 1 << 63,
			ExtendedAttributes: []ExtendedAttribute{{"user.a", []byte{0, 1, 255}}, {"user.\xff", nil}},
			Unknown:            []byte(`"generic_attributes":{"windows.x":[1,"}"]},"later":null`)},
	}}
}

func sortTree(t *Tree) *Tree {
	_ = orderNodes(t)
	return t
}

func TestTreeRoundTrip(t *testing.T) {
	want := sortTree(fullTree())
	doc, err := appendTree(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(doc) {
		t.Fatalf("not JSON: %s", doc)
	}
	got, err := decodeTree(doc)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range want.Nodes {
		g := got.Nodes[i]
		for _, at := range []*time.Time{&n.ModTime, &n.AccessTime, &n.ChangeTime} {
			*at = at.UTC()
		}
		if len(n.ExtendedAttributes) > 1 {
			g.ExtendedAttributes[1].Value = nil
		}
		if !reflect.DeepEqual(n, g) {
			t.Errorf("%q:\n got %+v\nwant %+v", n.Name, g, n)
		}
	}
	again, err := appendTree(nil, got)
	if err != nil || !bytes.Equal(again, doc) {
		t.Errorf("a second encoding differs: %v\n%s\n%s", err, again, doc)
	}
}

// resticNode is what stock restic writes and reads, by its documented members,
// for encoding/json.
type resticNode struct {
	Name               string    `json:"name"`
	Type               string    `json:"type"`
	Mode               uint32    `json:"mode,omitempty"`
	ModTime            time.Time `json:"mtime"`
	AccessTime         time.Time `json:"atime"`
	ChangeTime         time.Time `json:"ctime"`
	UID                uint32    `json:"uid"`
	GID                uint32    `json:"gid"`
	User               string    `json:"user,omitempty"`
	Group              string    `json:"group,omitempty"`
	Inode              uint64    `json:"inode,omitempty"`
	DeviceID           uint64    `json:"device_id,omitempty"`
	Size               uint64    `json:"size,omitempty"`
	Links              uint64    `json:"links,omitempty"`
	LinkTarget         string    `json:"linktarget,omitempty"`
	LinkTargetRaw      []byte    `json:"linktarget_raw,omitempty"`
	ExtendedAttributes []struct {
		Name  string `json:"name"`
		Value []byte `json:"value"`
	} `json:"extended_attributes,omitempty"`
	Device  uint64   `json:"device,omitempty"`
	Content []string `json:"content"`
	Subtree *string  `json:"subtree,omitempty"`
}

// TestTreeAsJSON reads our trees as encoding/json does, and its trees as ours.
func TestTreeAsJSON(t *testing.T) {
	tree := sortTree(fullTree())
	doc, err := appendTree(nil, tree)
	if err != nil {
		t.Fatal(err)
	}
	var std struct {
		Nodes []resticNode `json:"nodes"`
	}
	if err := json.Unmarshal(doc, &std); err != nil {
		t.Fatal(err)
	}
	for i, n := range tree.Nodes {
		s := &std.Nodes[i]
		if name, err := unquoteName(s.Name); err != nil || name != n.Name {
			t.Errorf("name %q: %q, %v", n.Name, s.Name, err)
		}
		if s.Mode != uint32(n.Mode) || s.UID != n.UID || s.Inode != n.Inode || s.Device != n.Device || len(s.Content) != len(n.Content) {
			t.Errorf("%q: %+v", n.Name, s)
		}
		if !s.ModTime.Equal(n.ModTime) || !s.AccessTime.Equal(n.AccessTime) || !s.ChangeTime.Equal(n.ChangeTime) {
			t.Errorf("%q: times %v %v %v", n.Name, s.ModTime, s.AccessTime, s.ChangeTime)
		}
		if n.LinkTarget != "" && string(s.LinkTargetRaw) != n.LinkTarget {
			t.Errorf("%q: raw target %q", n.Name, s.LinkTargetRaw)
		}
		if (s.Content == nil) != (n.Type != NodeFile) {
			t.Errorf("%q: content %v", n.Name, s.Content)
		}
	}
	theirs, err := json.MarshalIndent(std, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeTree(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range tree.Nodes {
		if g := got.Nodes[i]; g.Name != n.Name || !g.ModTime.Equal(n.ModTime) || g.LinkTarget != n.LinkTarget || len(g.Content) != len(n.Content) {
			t.Errorf("%q: got %+v", n.Name, g)
		}
	}
}

func TestTreeTimes(t *testing.T) {
	for _, in := range []string{
		"2014-12-22T14:47:59.912418701+01:00", "2000-02-29T00:00:00Z", "1969-12-31T23:59:59.5-23:59", "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999Z", "1900-03-01T00:00:00.000000001Z", "2026-01-01T00:00:00.1234567891Z",
	} {
		want, err := time.Parse(time.RFC3339Nano, in)
		if err != nil {
			t.Fatal(err)
		}
		d := &treeDecoder{s: jsonScanner{b: []byte(`"` + in + `"`)}}
		if got, err := d.time(); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "2000-02-30T00:00:00Z", "1900-02-29T00:00:00Z", "2000-01-01", "2000-01-01T24:00:00Z", "x000-01-01T00:00:00Z", "2000-01-01T00:00:00.Z", "2000-13-01T00:00:00Z"} {
		d := &treeDecoder{s: jsonScanner{b: []byte(`"` + bad + `"`)}}
		if got, err := d.time(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
	for at, want := range map[time.Time]string{
		time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC):    `"0000-01-01T00:00:00Z"`,
		time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC): `"9999-12-31T23:59:59.999999999Z"`,
		time.Unix(0, 120_000_000):                    `"1970-01-01T00:00:00.12Z"`,
	} {
		if got := string(appendTime(nil, at)); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

func TestTreeOrder(t *testing.T) {
	a, b := &Node{Name: "a", Type: NodeFIFO}, &Node{Name: "b", Type: NodeFIFO}
	for _, nodes := range [][]*Node{{b, a}, {a, a}, {{Name: "é", Type: NodeFIFO}, {Name: "z", Type: NodeFIFO}}} {
		if _, err := appendTree(nil, &Tree{Nodes: nodes}); !errors.Is(err, ErrOrder) {
			t.Errorf("%q, %q: %v", nodes[0].Name, nodes[1].Name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "a\x00b"} {
		if _, err := appendTree(nil, &Tree{Nodes: []*Node{{Name: name}}}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	tree, err := decodeTree([]byte(`{"nodes":[{"name":"b","type":"fifo"},{"name":"a","type":"fifo"}]}`))
	if err != nil || tree.Nodes[0].Name != "a" || tree.Find("b") == nil || tree.Find("c") != nil {
		t.Errorf("unsorted: %+v, %v", tree, err)
	}
}

// TestF49_HostileTrees: what no writer wrote is refused.
func TestF49_HostileTrees(t *testing.T) {
	for _, doc := range []string{
		``, `{`, `[]`, `{"nodes":[{}]}`, `{"nodes":[{"name":"a"}]}`, `{"nodes":{}}`, `{"nodes":[]}x`,
		`{"nodes":[{"name":"..","type":"dir"}]}`, `{"nodes":[{"name":"a/../b","type":"file"}]}`,
		`{"nodes":[{"name":"\\x2e\\x2e","type":"dir"}]}`, `{"nodes":[{"name":"a\\x00","type":"dir"}]}`,
		`{"nodes":[{"name":"a\"","type":"dir"}]}`, `{"nodes":[{"name":"a\\","type":"dir"}]}`,
		`{"nodes":[{"name":"a","type":"file"},{"name":"a","type":"file"}]}`,
		`{"nodes":[{"name":"a","type":"file","size":-1}]}`, `{"nodes":[{"name":"a","type":"file","size":1e9}]}`,
		`{"nodes":[{"name":"a","type":"file","mode":4294967296}]}`, `{"nodes":[{"name":"a","type":"file","size":18446744073709551616}]}`,
		`{"nodes":[{"name":"a","type":"file","content":["00"]}]}`, `{"nodes":[{"name":"a","type":"dir","subtree":"` + strings.Repeat("z", 64) + `"}]}`,
		`{"nodes":[{"name":"a","type":"file","x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}]}`,
		`{"nodes":[{"name":"a","type":"file","x":tru}]}`, `{"nodes":[{"name":"a","type":"file","mtime":"yesterday"}]}`,
	} {
		if tree, err := decodeTree([]byte(doc)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.100s: %+v, %v", doc, tree, err)
		}
	}
}

func FuzzDecodeTree(f *testing.F) {
	doc, err := appendTree(nil, sortTree(fullTree()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte(`{"x":[1,2,{"a":null}],"nodes":[{"name":"\ud83d\ude00\\n","type":"file","content":null,"b":true}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		tree, err := decodeTree(doc)
		if err != nil {
			return
		}
		if !json.Valid(doc) {
			t.Fatal("taken, and not JSON")
		}
		again, err := appendTree(nil, tree)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		back, err := decodeTree(again)
		if err != nil {
			t.Fatalf("cannot be read again: %v\n%s", err, again)
		}
		third, err := appendTree(nil, back)
		if err != nil || !bytes.Equal(third, again) {
			t.Fatalf("not stable: %v\n%s\n%s", err, again, third)
		}
	})
}
