package dump

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func redisRecords(info string, more ...string) []byte {
	fields := append([]string{"client", "redis-cli 7.0.15", "info", info, "files", "/data", "dump.rdb", "appendonly.aof", "appendonlydir", "dir", "/data"}, more...)
	return []byte(strings.Join(append(fields, "end"), "\x00") + "\x00")
}

const redisInfo = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\nloading:0\r\naof_enabled:0\r\n" +
	"rdb_last_load_keys_expired:3\r\nrdb_last_load_keys_loaded:17\r\n# Keyspace\r\ndb0:keys=10,expires=1,avg_ttl=0\r\ndb7:keys=5,expires=0,avg_ttl=0\r\n"

func redisFacts(t testing.TB, change ...string) Facts {
	t.Helper()
	f, err := Redis{}.ParseProbe(Request{Service: "cache"}, redisRecords(strings.NewReplacer(change...).Replace(redisInfo), "df", "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 60 40% /data"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRedisProbe(t *testing.T) {
	f := redisFacts(t)
	r := f.Redis
	if f.ServerVersion != "7.0.15" || f.ServerMajor != 7 || f.ClientMajor != 7 || f.FreeBytes != 60<<10 || f.Standby || !slices.Equal(f.DataDirs, []string{"/data"}) ||
		r.Product != "redis" || r.Mode != "standalone" || r.Keys != 15 || r.Loaded != 17 || r.Expired != 3 || r.AOF || r.Loading || r.Dir != "/data" || r.File != "dump.rdb" {
		t.Errorf("%+v %+v", f, r)
	}
	if _, ok := f.Database("all"); !ok {
		t.Error("the one item is not there")
	}
	f = redisFacts(t, "redis_version:7.0.15", "redis_version:7.2.4\r\nvalkey_version:8.1.0", "role:master", "role:slave", "aof_enabled:0", "aof_enabled:1", "loading:0", "loading:1", "standalone", "cluster")
	if r = f.Redis; r.Product != "valkey" || f.ServerVersion != "8.1.0" || !f.Standby || !r.AOF || !r.Loading || r.Mode != "cluster" {
		t.Errorf("%+v %+v", f, r)
	}
	if s := (Redis{}).Skipped(Request{}, f); len(s) != 2 || !strings.Contains(s[0], "cluster") || !strings.Contains(s[1], "replica") {
		t.Errorf("%q", s)
	}
	if f, err := (Redis{}).ParseProbe(Request{}, redisRecords(redisInfo, "aof")); err != nil || !f.Redis.AOF {
		t.Errorf("an append-only file that lies there does not count: %v", err)
	}
	whole := redisRecords(redisInfo)
	for n := range whole {
		if _, err := (Redis{}).ParseProbe(Request{}, whole[:n]); err == nil {
			t.Fatalf("cut at %d: no error", n)
		}
	}
	for name, bad := range map[string][]byte{
		"a file elsewhere": []byte("client\x00redis-cli 7\x00info\x00" + redisInfo + "\x00files\x00/data\x00../../etc/passwd\x00a\x00b\x00end\x00"),
		"no directory":     []byte("client\x00redis-cli 7\x00info\x00" + redisInfo + "\x00files\x00data\x00x\x00a\x00b\x00end\x00"),
		"no version":       redisRecords("role:master\r\n"),
		"Dragonfly":        redisRecords(redisInfo + "dragonfly_version:df-1\r\n"),
	} {
		if _, err := (Redis{}).ParseProbe(Request{}, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRedisFiles(t *testing.T) {
	secret := "hunter2"
	req := Request{Service: "cache", User: "backup", Argv: Secrets{"redis-server", "--requirepass", secret}}
	f, err := Redis{}.ParseProbe(req, redisRecords(redisInfo))
	if err != nil {
		t.Fatal(err)
	}
	files, err := Redis{}.Files(Request{Service: "cache", User: "backup"}, f)
	if err != nil || len(files) != 1 || files[0].Name != "dump.rdb" || files[0].Item != "all" || !files[0].Command.Gate || files[0].Trim == nil {
		t.Fatalf("%+v, %v", files, err)
	}
	cmd := files[0].Command
	if !slices.Equal(cmd.Input, Secrets{"password " + secret}) || cmd.Show != "redis-cli --rdb -" || cmd.Argv[len(cmd.Argv)-1] != "backup" {
		t.Errorf("%q %q %q", []string(cmd.Input), cmd.Show, cmd.Argv)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if shown := fmt.Sprintf(format, cmd) + fmt.Sprintf(format, req) + strings.Join(cmd.Argv, " "); strings.Contains(shown, secret) {
			t.Errorf("%s prints the password", format)
		}
	}
	for _, names := range [][]string{{"0"}, {"all", "x"}} {
		if _, err := (Redis{}).Files(Request{Databases: names}, f); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%q: %v", names, err)
		}
	}
	if files, err := (Redis{}).Files(Request{Databases: []string{}}, f); err != nil || len(files) != 0 {
		t.Errorf("none: %+v, %v", files, err)
	}
}

func TestRedisArguments(t *testing.T) {
	for _, c := range []struct{ argv, want []string }{
		{[]string{"docker-entrypoint.sh", "redis-server"}, nil},
		{[]string{"docker-entrypoint.sh", "redis-server", "--save", "20", "1", "--requirepass", "a b", "--port", "7000"}, []string{"password a b", "port 7000"}},
		{[]string{"docker-entrypoint.sh", "redis-server", "/etc/my.conf", "--unixsocket", "/run/r.sock"}, []string{"config /etc/my.conf", "socket /run/r.sock"}},
		{[]string{"sh", "-c", `exec redis-server --requirepass "$REDIS_PASS" --port 1`}, []string{"variable REDIS_PASS", "port 1"}},
		{[]string{"/bin/bash", "-ec", `valkey-server /v.conf --requirepass '${P_1}'; true`}, []string{"config /v.conf", "variable P_1"}},
		{[]string{"sh", "-c", "redis-server --requirepass $(cat /x)"}, []string{"password $(cat"}},
		{[]string{"redis-server", "--requirepass", "a\nport 1"}, nil},
		{[]string{"redis-server", "--requirepass"}, nil},
		{nil, nil},
	} {
		if got := redisArguments(c.argv); !slices.Equal([]string(got), c.want) {
			t.Errorf("%q: %q, want %q", c.argv, []string(got), c.want)
		}
	}
}

func TestRedisPlace(t *testing.T) {
	plain, aof, old := redisFacts(t), redisFacts(t, "aof_enabled:0", "aof_enabled:1"), redisFacts(t, "redis_version:7.0.15", "redis_version:3.2.1", "aof_enabled:0", "aof_enabled:1")
	got, err := Redis{}.Place(plain, nil)
	if err != nil || got.Dir != "/data" || !slices.Equal(got.Files, []string{"dump.rdb"}) || got.Remove != nil {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Redis{}.Place(plain, &aof)
	if err != nil || !slices.Equal(got.Files, []string{"dump.rdb", "appendonly.aof"}) || !slices.Equal(got.Remove, []string{"appendonlydir"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := (Redis{}).Place(plain, &old); !errors.Is(err, ErrBadRequest) {
		t.Errorf("an append-only file before version 4: %v", err)
	}
	if _, err := (Redis{}).Place(Facts{}, nil); err == nil {
		t.Error("nothing is known, and it is placed")
	}
}

func TestRedisCanRestore(t *testing.T) {
	v := func(version string) Facts { return redisFacts(t, "7.0.15", version) }
	valkey := func(version string) Facts {
		return redisFacts(t, "redis_version:7.0.15", "redis_version:7.2.4\r\nvalkey_version:"+version)
	}
	replica := redisFacts(t, "role:master", "role:slave")
	for _, c := range []struct {
		name           string
		dumped, target Facts
		want           error
	}{
		{"same", v("7.0.15"), v("7.0.1"), nil}, {"into newer", v("5.0.14"), v("8.0.1"), nil}, {"same format", v("6.2.1"), v("5.0.0"), nil},
		{"into older", v("7.0.15"), v("6.2.14"), ErrNewerDump}, {"7.4 into 7.2", v("7.4.0"), v("7.2.5"), ErrNewerDump},
		{"into Valkey", v("7.2.4"), valkey("8.0.1"), nil}, {"newer Redis into Valkey", v("7.4.0"), valkey("8.1.0"), ErrNewerDump},
		{"newer Redis into newest Valkey", v("8.0.0"), valkey("9.0.0"), ErrNewerDump}, {"Valkey 8 into Redis", valkey("8.0.1"), v("7.2.4"), nil},
		{"Valkey 9 into Redis", valkey("9.0.0"), v("8.2.0"), ErrNewerDump}, {"Valkey 9 into 8", valkey("9.0.0"), valkey("8.1.0"), ErrNewerDump},
		{"of the future", v("9.1.0"), v("9.0.0"), ErrNewerDump}, {"into the future", v("8.0.0"), v("9.0.0"), nil},
		{"into a replica", v("7.0.15"), replica, ErrBadRequest}, {"another engine", Facts{Engine: "pg_dump"}, v("7.0.15"), ErrBadRequest},
	} {
		if err := (Redis{}).CanRestore(c.dumped, c.target); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// What the file says of itself counts, whatever was recorded.
	p, err := judgeRDB(summed([]byte("REDIS0012\xff")), 9)
	if err != nil {
		t.Fatal(err)
	}
	old := v("6.2.0")
	if err := (Redis{}).Fits(p, old, &old); !errors.Is(err, ErrNewerDump) {
		t.Errorf("%v", err)
	}
	if err := (Redis{}).Fits(p, old, nil); err != nil {
		t.Errorf("a server that cannot be asked: %v", err)
	}
}

func TestRedisCame(t *testing.T) {
	p, err := judgeRDB(trimmed(t, rdbSample(t, "redis-7.0")), 999) // 21 keys, of which 2 expire
	if err != nil {
		t.Fatal(err)
	}
	now := func(keys, loaded, expired int64) Facts {
		return Facts{Redis: &RedisFacts{Keys: keys, Loaded: loaded, Expired: expired}}
	}
	for _, c := range []struct {
		name string
		now  Facts
		ok   bool
		note string
	}{
		{"all", now(21, 21, 0), true, ""}, {"some expired when it loaded", now(20, 19, 2), true, "2 of 21"}, {"somebody writes", now(500, 21, 0), true, ""},
		{"it loaded something else", now(21, 5, 0), false, ""}, {"it does not say", now(21, -1, -1), true, ""}, {"it does not count so", now(20, 0, 0), true, "1 of 21"},
		{"too few", now(18, -1, -1), false, ""}, {"nothing", now(0, 0, 0), false, ""}, {"it does not say, and somebody writes", now(22, -1, -1), true, "writes already"},
	} {
		notes, err := Redis{}.Came(p, Facts{}, c.now)
		if (err == nil) != c.ok || !strings.Contains(strings.Join(notes, " "), c.note) || c.note == "" && notes != nil {
			t.Errorf("%s: %q, %v", c.name, notes, err)
		}
	}
	if _, err := (Redis{}).Came(p, Facts{}, Facts{Redis: &RedisFacts{Loading: true}}); !errors.Is(err, ErrLoading) {
		t.Errorf("loading: %v", err)
	}
	empty, _ := judgeRDB(summed([]byte("REDIS0010\xff")), 9)
	if _, err := (Redis{}).Came(empty, Facts{}, now(0, 0, 0)); err != nil {
		t.Errorf("an empty dump: %v", err)
	}
}

func TestRedisExplains(t *testing.T) {
	for text, want := range map[string]string{
		"NOAUTH Authentication required.": "REDIS_PASSWORD", "AUTH failed: WRONGPASS invalid username-password pair": "refuses the password",
		"NOPERM this user has no permissions to run the 'sync' command": "+sync", "Could not connect to Redis at 127.0.0.1:6379: Connection refused": "is it running",
		"redis-cli, valkey-cli or keydb-cli is not in the container": "has no client",
	} {
		if got := (Redis{}).Explain(text, 2); !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func FuzzRedisProbe(f *testing.F) {
	f.Add(redisRecords(redisInfo, "aof", "df", "x 1 2%"))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := Redis{}.ParseProbe(Request{}, b)
		if err != nil {
			return
		}
		if p, err := (Redis{}).Place(facts, nil); err == nil {
			for _, name := range append(p.Files, p.Remove...) {
				if name == "" || strings.ContainsAny(name, "/\x00") || name == ".." {
					t.Fatalf("%q", name)
				}
			}
		}
	})
}
