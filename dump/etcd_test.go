package dump

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
)

const (
	etcdStatus  = `[{"Endpoint":"http://127.0.0.1:2379","Status":{"header":{"cluster_id":324952591200643719,"member_id":3319814642761637952,"revision":4,"raft_term":2},"version":"3.4.23","dbSize":20480,"leader":3319814642761637952,"raftIndex":7}}]`
	etcdMembers = `{"header":{"member_id":3319814642761637952},"members":[{"ID":3319814642761637952,"name":"one","peerURLs":["http://10.0.0.1:2380"],"clientURLs":["http://127.0.0.1:2379"]}]}`
	etcdVersion = "etcdctl version: 3.4.23\nAPI version: 3.4\n"
)

func etcdRecords(change ...string) []byte {
	text := strings.Join([]string{"client", etcdVersion, "status", etcdStatus, "members", etcdMembers,
		"place", "one", "/bitnami/etcd/data", "", "a-token", "dir", "/mnt/data",
		"df", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 60 40% /", "end", ""}, "\x00")
	return []byte(strings.NewReplacer(change...).Replace(text))
}

func etcdFactsOf(t testing.TB, change ...string) Facts {
	t.Helper()
	f, err := Etcd{}.ParseProbe(Request{Service: "keys"}, etcdRecords(change...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEtcdProbe(t *testing.T) {
	f := etcdFactsOf(t)
	e := f.Etcd
	if f.ServerVersion != "3.4.23" || f.ServerMajor != 304 || f.ClientMajor != 304 || f.FreeBytes != 60<<10 || f.Standby ||
		!slices.Equal(f.DataDirs, []string{"/bitnami/etcd/data", "/mnt/data"}) || e.Member != "one" || !slices.Equal(e.PeerURLs, []string{"http://10.0.0.1:2380"}) ||
		e.Token != "a-token" || e.Members != 1 || e.Dir != "/bitnami/etcd/data" || e.WALDir != "" || e.Revision != 4 {
		t.Errorf("%+v %+v", f, e)
	}
	if d, ok := f.Database("all"); !ok || d.Size != 20480 {
		t.Errorf("the one item: %+v", d)
	}
	whole := etcdRecords()
	for n := range whole {
		if _, err := (Etcd{}).ParseProbe(Request{}, whole[:n]); err == nil {
			t.Fatalf("cut at %d: no error", n)
		}
	}
	for name, change := range map[string][]string{
		"no version":                   {`"version":"3.4.23"`, `"version":"x"`},
		"two endpoints":                {`[{"Endpoint"`, `[{},{"Endpoint"`},
		"another member":               {`"member_id":3319814642761637952,"rev`, `"member_id":7,"rev`},
		"a name that is two":           {`"name":"one"`, `"name":"one=http://x,two"`},
		"no name":                      {`"name":"one"`, `"name":""`},
		"an address that is an option": {"http://10.0.0.1:2380", "--force-new-cluster"},
		"two addresses in one":         {"http://10.0.0.1:2380", "http://a:1,http://b:2"},
		"a directory that is none":     {"/bitnami/etcd/data", "data"},
		"a token that is two":          {"a-token", "a,b"},
		"no client":                    {"etcdctl version", "version"},
		"no place":                     {"place\x00one\x00/bitnami/etcd/data\x00\x00a-token\x00", ""},
	} {
		if _, err := (Etcd{}).ParseProbe(Request{}, etcdRecords(change...)); !errors.Is(err, errProbe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEtcdRequests(t *testing.T) {
	f := etcdFactsOf(t)
	files, err := Etcd{}.Files(Request{Service: "keys"}, f)
	if err != nil || len(files) != 1 || files[0].Name != "snapshot.db" || files[0].Item != "all" || !files[0].Command.Gate || files[0].Command.Show != "etcdctl snapshot save" {
		t.Fatalf("%+v, %v", files, err)
	}
	for _, req := range []Request{{Databases: []string{"0"}}, {User: "root"}} {
		if _, err := (Etcd{}).Files(req, f); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%+v: %v", req, err)
		}
	}
	if dirs := (Etcd{}).FallbackDataDirs(func(name string) string { return map[string]string{"ETCD_DATA_DIR": "/data/etcd/"}[name] }, []string{"/data/etcd", "/etc", "/bitnami/etcd"}); !slices.Equal(dirs, []string{"/data/etcd", "/bitnami/etcd"}) {
		t.Errorf("%q", dirs)
	}
	if dirs := (Etcd{}).FallbackDataDirs(func(string) string { return "" }, []string{"/etc"}); !slices.Equal(dirs, []string{"/var/lib/etcd"}) {
		t.Errorf("%q", dirs)
	}
}

func TestEtcdCanRestore(t *testing.T) {
	v := func(version string) Facts { return etcdFactsOf(t, `"version":"3.4.23"`, `"version":"`+version+`"`) }
	two := etcdFactsOf(t, `"members":[`, `"members":[{"ID":1,"name":"two","peerURLs":["http://b:2380"]},`)
	if two.Etcd.Members != 2 {
		t.Fatalf("%+v", two.Etcd)
	}
	for _, c := range []struct {
		name           string
		dumped, target Facts
		want           error
	}{
		{"same", v("3.4.23"), v("3.4.1"), nil}, {"into newer", v("3.4.23"), v("3.5.9"), nil}, {"into older", v("3.5.0"), v("3.4.30"), ErrNewerDump},
		{"of a cluster", two, v("3.4.23"), nil}, {"into a cluster", v("3.4.23"), two, ErrBadRequest}, {"another engine", Facts{Engine: "redis"}, v("3.4.23"), ErrBadRequest},
	} {
		if err := (Etcd{}).CanRestore(c.dumped, c.target); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestEtcdPlace(t *testing.T) {
	dumped := etcdFactsOf(t)
	now := etcdFactsOf(t, `"name":"one"`, `"name":"two"`, "http://10.0.0.1:2380", "http://two:2380", "/bitnami/etcd/data\x00\x00a-token", "/data\x00/wal\x00")
	p, err := Etcd{}.Place(dumped, &now)
	if err != nil || !slices.Equal(p.Empty, []string{"/data", "/wal"}) || p.Files != nil || p.Remove != nil || len(p.Load) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	step := p.Load[0]
	want := []string{"/data", "/wal", "--name=two", "--initial-cluster=two=http://two:2380", "--initial-advertise-peer-urls=http://two:2380", "--initial-cluster-token=etcd-cluster"}
	if step.Input != InputDump || !step.Command.Stdin || !slices.Equal(step.Command.Argv[4:], want) {
		t.Errorf("%q", step.Command.Argv[4:])
	}
	p, err = Etcd{}.Place(dumped, nil)
	if err != nil || !slices.Equal(p.Empty, []string{"/bitnami/etcd/data"}) || p.Load[0].Command.Argv[6] != "--name=one" || p.Load[0].Command.Argv[9] != "--initial-cluster-token=a-token" {
		t.Errorf("a server that cannot be asked: %+v, %v", p, err)
	}
	several := dumped
	several.Etcd = &EtcdFacts{Member: "a", PeerURLs: []string{"http://a"}, Dir: "/data", Members: 3}
	root := dumped
	root.Etcd = &EtcdFacts{Member: "a", PeerURLs: []string{"http://a"}, Dir: "/", Members: 1}
	for name, f := range map[string]Facts{"a cluster": several, "the root": root, "nothing known": {}} {
		if _, err := (Etcd{}).Place(f, nil); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Etcd{}).Came(nil, dumped, dumped); err != nil {
		t.Error(err)
	}
	if _, err := (Etcd{}).Came(nil, dumped, several); err == nil {
		t.Error("it came up in its old cluster, and nobody minds")
	}
}

// TestEtcdCame: a server that has made itself new files, wherever it looks for
// them, is no restored one.
func TestEtcdCame(t *testing.T) {
	at := func(revision string) Facts { return etcdFactsOf(t, `"revision":4`, `"revision":`+revision) }
	for _, c := range []struct {
		name        string
		dumped, now Facts
		good        bool
	}{
		{"the same", at("70"), at("70"), true}, {"dumped while it was written to", at("70"), at("75"), true},
		{"new and empty", at("70"), at("1"), false}, {"one is missing", at("70"), at("69"), false}, {"of an earlier version", at("0"), at("1"), true},
	} {
		stored, err := json.Marshal(c.dumped)
		if err != nil {
			t.Fatal(err)
		}
		var dumped Facts
		if err := json.Unmarshal(stored, &dumped); err != nil {
			t.Fatal(err)
		}
		if _, err := (Etcd{}).Came(nil, dumped, c.now); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestEtcdExplains(t *testing.T) {
	for text, want := range map[string]string{
		"Error: etcdserver: authentication failed, invalid user ID or password": "ETCD_ROOT_PASSWORD", "Error: etcdserver: user name is empty": "ETCD_ROOT_PASSWORD",
		`dial tcp 127.0.0.1:2379: connect: connection refused`: "is it running", "etcdctl is not in the container": "no etcdctl", "no space left for a snapshot of 7 bytes": "make room",
	} {
		if got := (Etcd{}).Explain(text, 2); !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// boltSample is a database of so many pages, as etcd sends it.
func boltSample(page, pages int) []byte {
	b := make([]byte, page*pages)
	for i := range 2 {
		m := b[i*page+boltMeta:]
		binary.LittleEndian.PutUint32(m, boltMagic)
		binary.LittleEndian.PutUint32(m[4:], 2)
		binary.LittleEndian.PutUint32(m[8:], uint32(page))
		binary.LittleEndian.PutUint64(m[40:], uint64(pages-1+i)) // the older one knew fewer
		binary.LittleEndian.PutUint64(m[48:], uint64(10+i))
		sum := fnv.New64a()
		sum.Write(m[:boltSummed])
		binary.LittleEndian.PutUint64(m[boltSummed:], sum.Sum64())
	}
	for i := 2 * page; i < len(b); i++ {
		b[i] = byte(i * 7)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// judgeEtcd proves content in pieces of a size.
func judgeEtcd(b []byte, piece int) error {
	p := newEtcdProof()
	for part := range slices.Chunk(b, piece) {
		p.Write(part)
	}
	return p.Finish()
}

func TestEtcdProof(t *testing.T) {
	for _, page := range []int{512, 4096, 65536} {
		whole := boltSample(page, 5)
		for _, piece := range []int{31, 33, page + 1, len(whole)} {
			if err := judgeEtcd(whole, piece); err != nil {
				t.Errorf("pages of %d in pieces of %d: %v", page, piece, err)
			}
		}
	}
	whole := boltSample(512, 6)
	for n := range whole {
		if err := judgeEtcd(whole[:n], 100); !errors.Is(err, ErrCutDump) && !errors.Is(err, ErrBadDump) && (n > 0 || !errors.Is(err, ErrEmptyDump)) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		bad := bytes.Clone(whole)
		bad[n] ^= 0x10
		if err := judgeEtcd(bad, 100); err == nil {
			t.Fatalf("byte %d altered: no error", n)
		}
	}
	// A file that ends with a right sum, but is none.
	text := bytes.Repeat([]byte("x"), 4096)
	sum := sha256.Sum256(text)
	if err := judgeEtcd(append(text, sum[:]...), 100); !errors.Is(err, ErrBadDump) {
		t.Errorf("no database: %v", err)
	}
	// A sum of what was cut before.
	short := whole[:4*512]
	sum = sha256.Sum256(short)
	if err := judgeEtcd(append(bytes.Clone(short), sum[:]...), 100); !errors.Is(err, ErrCutDump) {
		t.Errorf("cut by whole pages, and summed up anew: %v", err)
	}
	// The first description is torn, as after a crash: the second counts.
	torn := bytes.Clone(whole[:len(whole)-32])
	torn[boltMeta+20] ^= 1
	sum = sha256.Sum256(torn)
	if err := judgeEtcd(append(torn, sum[:]...), 100); err != nil {
		t.Errorf("the second description alone: %v", err)
	}
}

func FuzzEtcdProbe(f *testing.F) {
	f.Add(etcdRecords())
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := Etcd{}.ParseProbe(Request{}, b)
		if err != nil {
			return
		}
		for _, s := range append(facts.Etcd.PeerURLs, facts.Etcd.Member, facts.Etcd.Token) {
			if strings.ContainsAny(s, ",=\n\x00") {
				t.Fatalf("%q", s)
			}
		}
	})
}

func FuzzEtcdProof(f *testing.F) {
	f.Add(boltSample(512, 3), 7)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		if piece < 1 {
			return
		}
		if (judgeEtcd(b, piece) == nil) != (judgeEtcd(b, len(b)+1) == nil) {
			t.Fatal("the pieces matter")
		}
	})
}
