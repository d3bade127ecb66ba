package dump

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc64"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// rdbSample is what redis-cli --rdb - wrote of a real server with values of
// every kind, the mark behind it included.
func rdbSample(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".rdb.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const rdbSampleKeys = 21

func trimmed(t testing.TB, b []byte) []byte {
	t.Helper()
	out, err := io.ReadAll(newRDBTrim(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func judgeRDB(b []byte, piece int) (*rdbProof, error) {
	p := newRDBProof()
	for len(b) > 0 {
		n := min(piece, len(b))
		_, _ = p.Write(b[:n]) // never fails
		b = b[n:]
	}
	return p, p.Finish()
}

// summed gives content a trailer that fits.
func summed(content []byte) []byte {
	return binary.LittleEndian.AppendUint64(bytes.Clone(content), rdbSum(0, crc64.MakeTable(rdbPolynomial), content))
}

func TestRDBSum(t *testing.T) {
	if got := rdbSum(0, crc64.MakeTable(rdbPolynomial), []byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%#x", got)
	}
}

func TestRDBOfARealServer(t *testing.T) {
	for _, name := range []string{"redis-7.0", "redis-7.0-no-checksum"} {
		raw := rdbSample(t, name)
		b := trimmed(t, raw)
		if len(b) != len(raw)-rdbMark {
			t.Fatalf("%s: %d bytes became %d", name, len(raw), len(b))
		}
		for _, piece := range []int{1, 2, 7, 9, 64, len(b)} {
			p, err := judgeRDB(b, piece)
			keys, expiring, known := p.counted()
			if err != nil || keys != rdbSampleKeys || expiring != 2 || !known {
				t.Fatalf("%s in pieces of %d: %v, %d keys, %d expiring, lost: %q", name, piece, err, keys, expiring, p.walk.lost)
			}
			if !strings.HasPrefix(p.Summary(), "RDB version 10, 21 keys") || strings.Contains(p.Summary(), "no checksum") != strings.Contains(name, "no") {
				t.Errorf("%s", p.Summary())
			}
		}
		if _, err := judgeRDB(raw, 64); err == nil {
			t.Errorf("%s: the mark counts as a part of it", name)
		}
		for n := 0; n < len(b); n += 1 + n/40 {
			if _, err := judgeRDB(b[:n], 4096); err == nil {
				t.Fatalf("%s: cut at %d: no error", name, n)
			}
		}
	}
}

func TestRDBDamage(t *testing.T) {
	b := trimmed(t, rdbSample(t, "redis-7.0"))
	for n := 0; n < len(b); n += 1 + n/60 {
		bad := bytes.Clone(b)
		bad[n] ^= 0x10
		if _, err := judgeRDB(bad, 4096); err == nil {
			t.Fatalf("flipped at %d: no error", n)
		}
	}
	for _, c := range []struct {
		name    string
		content []byte
		want    error
		text    string
	}{
		{"nothing", nil, ErrEmptyDump, ""},
		{"an error in its place", []byte("NOAUTH Authentication required.\n"), ErrBadDump, "NOAUTH"},
		{"a magic word alone", []byte("REDIS0010"), ErrCutDump, ""},
		{"an old one", summed([]byte("REDIS0004\xff")), ErrBadDump, "2.6"},
		{"no number", summed([]byte("REDISabcd\xff")), ErrBadDump, ""},
		{"empty", summed([]byte("REDIS0010\xff")), nil, ""},
		{"Valkey's", summed([]byte("VALKEY080\xff")), nil, ""},
		{"of a kind that is not known", summed([]byte("REDIS0099\x63what\xff")), nil, ""},
		{"the same without a checksum", []byte("REDIS0099\x63what\xff\x00\x00\x00\x00\x00\x00\x00\x00"), ErrBadDump, "rdbchecksum"},
		{"without a checksum, and something behind", []byte("REDIS0010\xff\x00\x00\x00\x00\x00\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00\x00"), ErrBadDump, "after its end"},
		{"without the end", summed([]byte("REDIS0010")), ErrBadDump, ""},
		{"a length that lies", append([]byte("REDIS0010\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffabc"), make([]byte, 64)...), ErrCutDump, ""},
		{"a count that lies", append([]byte("REDIS0010\x01\x01a\x81\xff\xff\xff\xff\xff\xff\xff\xff"), make([]byte, 1<<20)...), ErrCutDump, ""},
	} {
		_, err := judgeRDB(c.content, 3)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestRDBKinds walks through values that the sample's server does not write.
func TestRDBKinds(t *testing.T) {
	const module = "\x81\x00\x00\x00\x00\x00\x00\x00\x01" // its ID
	for name, c := range map[string]struct{ head, value string }{
		"zset of old":       {"REDIS0007", "\x03\x01k\x03\x01a\x031.5\x01b\xfe\x01c\xfd"},
		"zipmap":            {"REDIS0003"[:5] + "0006", "\x09\x01k\x03abc"},
		"compressed":        {"REDIS0009", "\x00\xc3\x04\x40\x64abcd\x01v"},
		"module":            {"REDIS0009", "\x07\x01k" + module + "\x02\x05\x01\x06\x05\x03abc\x03\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		"hash that expires": {"REDIS0012", "\x18\x01k\x00\x00\x00\x00\x00\x00\x00\x00\x02\x05\x01f\x01v\x00\x01g\x01w"},
		"packed hash":       {"REDIS0012", "\x19\x01k\x00\x00\x00\x00\x00\x00\x00\x00\x03abc"},
		"Valkey's hash":     {"VALKEY080", "\x16\x01k\x01\x01f\x01v\x00\x00\x00\x00\x00\x00\x00\x00"},
		"used":              {"REDIS0009", "\xf9\x05\xf8\x41\x00\xfd\x00\x00\x00\x00\x00\x01k\x01v"},
		"stream of 7.2":     {"REDIS0011", "\x15\x01k\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01g\x00\x00\x00\x01" + strings.Repeat("i", 16) + "timetime\x01\x01\x01c" + "seenseenactiactiv"[:16] + "\x01" + strings.Repeat("i", 16)},
		"module's own":      {"REDIS0009", "\xf7" + module + "\x02\x01\x05\x01x\x00\x00\x01k\x01v"},
		"slot":              {"REDIS0012", "\xf4\x01\x02\x03\x00\x01k\x01v"},
	} {
		p, err := judgeRDB(summed([]byte(c.head+c.value+"\xff")), 1)
		if keys, _, known := p.counted(); err != nil || keys != 1 || !known {
			t.Errorf("%s: %v, %d keys, lost: %q", name, err, keys, p.walk.lost)
		}
	}
}

func TestRDBTrimTakesOnlyAMark(t *testing.T) {
	whole := trimmed(t, rdbSample(t, "redis-7.0"))
	unsummed := trimmed(t, rdbSample(t, "redis-7.0-no-checksum"))
	mark := strings.Repeat("0f", 20)
	for name, c := range map[string]struct {
		in, out []byte
	}{
		"whole":             {whole, whole},
		"without checksum":  {unsummed, unsummed},
		"marked":            {append(bytes.Clone(whole), mark...), whole},
		"marked, unsummed":  {append(bytes.Clone(unsummed), mark...), unsummed},
		"half a mark":       {append(bytes.Clone(whole), mark[:39]...), append(bytes.Clone(whole), mark[:39]...)},
		"another tail":      {append(bytes.Clone(whole), strings.Repeat("Z", 40)...), append(bytes.Clone(whole), strings.Repeat("Z", 40)...)},
		"damaged, marked":   {append(append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1), mark...), append(append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1), mark...)},
		"short":             {[]byte("abc"), []byte("abc")},
		"nothing":           {nil, nil},
		"cut in the middle": {whole[:1000], whole[:1000]},
	} {
		for kind, r := range map[string]io.Reader{
			"plain": bytes.NewReader(c.in), "bytewise": iotest.OneByteReader(bytes.NewReader(c.in)), "early end": iotest.DataErrReader(bytes.NewReader(c.in)),
		} {
			if got, err := io.ReadAll(newRDBTrim(r)); err != nil || !bytes.Equal(got, c.out) {
				t.Errorf("%s, %s: %d bytes, want %d; %v", name, kind, len(got), len(c.out), err)
			}
		}
	}
	long := make([]byte, 3<<20)
	_, _ = rand.Read(long) // never fails
	if got := trimmed(t, long); !bytes.Equal(got, long) {
		t.Error("a long one came out otherwise")
	}
	cut := errors.New("cut")
	if got, err := io.ReadAll(newRDBTrim(io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(cut)))); !errors.Is(err, cut) || len(got) == len(whole) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// FuzzRDB: however the bytes are cut into pieces, the verdict is one, and a
// trailer that fits is all that counts where there is one.
func FuzzRDB(f *testing.F) {
	sample := trimmed(f, rdbSample(f, "redis-7.0"))
	f.Add(sample, uint8(7))
	f.Add(trimmed(f, rdbSample(f, "redis-7.0-no-checksum"))[:900], uint8(1))
	f.Add([]byte("REDIS0010\x07\x01k\x01\x05\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff"), uint8(3))
	f.Add([]byte("REDIS0010\x0f\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x01b"), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		p, err := judgeRDB(b, int(piece)+1)
		q, again := judgeRDB(b, len(b)+1)
		if (err == nil) != (again == nil) || p.walk.keys != q.walk.keys || p.walk.lost != q.walk.lost {
			t.Fatalf("%v and %v", err, again)
		}
		if err == nil && (len(b) < rdbHead+1+rdbTrailer || b[len(b)-rdbTrailer-1] != rdbEnd) {
			t.Fatal("good without an end")
		}
		if len(p.walk.stack) > rdbDeep || p.walk.keys > int64(len(b)) {
			t.Fatalf("%d deep, %d keys", len(p.walk.stack), p.walk.keys)
		}
		out := trimmed(t, b)
		if !bytes.HasPrefix(b, out) || len(b)-len(out) != 0 && len(b)-len(out) != rdbMark {
			t.Fatalf("%d bytes were trimmed to %d", len(b), len(out))
		}
	})
}
