package dump

import (
	"fmt"
	"strconv"
	"strings"
)

// Place puts the dump where the server looks for its RDB file. One with an
// append-only file loads that alone: it gets the dump under that name too, for
// every version since 4 takes an RDB as the beginning of such a file, and the
// directory of newer versions goes, so that these take the file over as they
// do when they are upgraded. So the server loads the dump whatever its
// configuration says when it starts.
func (Redis) Place(dumped Facts, target *Facts) (Placement, error) {
	f := dumped
	if target != nil {
		f = *target
	}
	if f.Redis == nil || f.Redis.Dir == "" {
		return Placement{}, fmt.Errorf("%w: where the server keeps its files is not known", ErrBadRequest)
	}
	p := Placement{Dir: f.Redis.Dir, Files: []string{f.Redis.File}}
	if !f.Redis.AOF {
		return p, nil
	}
	if f.ServerMajor < 4 {
		return Placement{}, fmt.Errorf("%w: Redis %s keeps an append-only file, and takes no dump for one: set appendonly to no, restart it, and restore again", ErrBadRequest, f.ServerVersion)
	}
	p.Files = append(p.Files, f.Redis.AOFFile)
	p.Remove = []string{f.Redis.AOFDir}
	return p, nil
}

// Fits goes by what the file says of itself.
func (Redis) Fits(proof Proof, dumped Facts, target *Facts) error {
	rdb, ok := proof.(*rdbProof)
	if !ok {
		return errNotRedis
	}
	if target == nil {
		return nil // what it cannot read it refuses, and the old data comes back
	}
	return rdbFits(rdb.version, dumped, *target)
}

// Came compares the keys that the server has with those in the file. Of
// servers that say how many they loaded it is exact; with others, keys may
// have expired, and somebody may have written already.
func (Redis) Came(proof Proof, _, now Facts) ([]string, error) {
	rdb, ok := proof.(*rdbProof)
	if !ok || now.Redis == nil {
		return nil, errNotRedis
	}
	r := now.Redis
	if r.Loading {
		return nil, ErrLoading
	}
	keys, expiring, known := rdb.counted()
	switch {
	case !known:
		return []string{fmt.Sprintf("the server has %d keys; how many the dump holds is not known, for it has kinds of values that this version does not know", r.Keys)}, nil
	case r.Loaded >= 0 && r.Expired >= 0 && r.Loaded+r.Expired == keys && (keys > 0 || r.Keys == 0):
		return redisCounted(r.Loaded, keys), nil
	case r.Loaded > 0 || r.Keys < keys-expiring:
		return nil, fmt.Errorf("the server came up with %d keys, the dump holds %d, of which %d may have expired: look at its log", max(r.Loaded, r.Keys), keys, expiring)
	case r.Keys > keys:
		return []string{fmt.Sprintf("%d keys are in the dump, and the server has %d: somebody writes already", keys, r.Keys)}, nil
	}
	return redisCounted(r.Keys, keys), nil
}

func redisCounted(have, keys int64) []string {
	if have == keys {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d keys have expired since", keys-have, keys)}
}

// rdbOf is the version of the files that a server writes; known is false for
// one that is newer than this table.
func rdbOf(f Facts) (v rdbVersion, known bool) {
	major, minor := versionOf(f.ServerVersion)
	at := major*100 + minor
	if f.Redis.Product == "valkey" {
		switch {
		case at < 900:
			return rdbVersion{number: 11}, true
		case at < 1000:
			return rdbVersion{valkey: true, number: 80}, true
		}
		return rdbVersion{valkey: true, number: 80}, false
	}
	for _, t := range [...]struct{ below, number int }{{302, 6}, {400, 7}, {500, 8}, {700, 9}, {702, 10}, {704, 11}, {802, 12}} {
		if at < t.below {
			return rdbVersion{number: t.number}, true
		}
	}
	return rdbVersion{number: 12}, false
}

// rdbFits says whether a server reads files of a version.
func rdbFits(v rdbVersion, dumped, target Facts) error {
	if target.Redis == nil {
		return errNotRedis
	}
	reads, known := rdbOf(target)
	valkey := target.Redis.Product == "valkey"
	from := "a server"
	if dumped.Redis != nil {
		from = dumped.Redis.Product + " " + dumped.ServerVersion
	}
	switch {
	case v.valkey && !valkey, v.valkey && !reads.valkey:
	case !v.valkey && valkey && v.number > 11:
		// Since they went apart, both count on by themselves.
	case v.valkey == reads.valkey && v.number > reads.number && known:
	default:
		return nil
	}
	return fmt.Errorf("%w: it is %s, made of %s, which %s %s does not read; start an image that does", ErrNewerDump, v, from, target.Redis.Product, target.ServerVersion)
}

// versionOf are the first two numbers of a version.
func versionOf(version string) (major, minor int) {
	parts := strings.SplitN(version, ".", 3)
	major, _ = strconv.Atoi(parts[0]) // 0 where it is none
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

func newerThan(a, b string) bool {
	am, an := versionOf(a)
	bm, bn := versionOf(b)
	return am > bm || am == bm && an > bn
}
