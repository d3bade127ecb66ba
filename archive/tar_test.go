package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// decorate adds what only root can make, and names that no program likes.
func (b *bench) decorate() {
	b.t.Helper()
	script(b.t.(*testing.T), b.root, `
		mkdir -p "$(printf 'n%.0s' $(seq 250))/$(printf 'm%.0s' $(seq 255))"; : > "$(printf 'n%.0s' $(seq 250))/$(printf 'm%.0s' $(seq 255))/x"
		printf 1 > $'bad \xff\xfe name\n\e[2J'; ln -s $'to \xff\n' link-to-bytes; printf 2 > '-rf'; printf 3 > ' '
		setfattr -n user.a=b%c -v 'x=y' a; setfattr -n user.bytes -v 0x000aff3d d/big; setfattr -n user.none -v '' d
		truncate -s 3M all-hole; (head -c 700001 /dev/urandom; head -c 1500000 /dev/zero; head -c 3 /dev/urandom; head -c 2000000 /dev/zero; echo end) > odd-holes; (truncate -s 1M x; printf end >> x; mv x hole-first)
		head -c 4096 /dev/zero > small-zeros
		touch -d '1950-01-01 00:00:00.25 UTC' old; touch -d '2300-05-06 07:08:09.123456789 UTC' new; touch -d '2020-01-01 00:00:00.000000001 UTC' nano
		chmod 2755 d/e; chmod 1777 d/g
		if [ $(id -u) = 0 ]; then
			setfacl -m u:1234:rwx,g:55:r a; setfacl -m d:u:77:rx,d:g:5:- d
			cp /bin/true capable; setcap cap_net_raw+ep capable
			chown 4294967000:3000000 nano; mknod block b 259 1048575; ln -s x hl; ln hl hl2
		fi
	`)
}

func (b *bench) tar(res *Result) []byte {
	b.t.Helper()
	var out bytes.Buffer
	rep, err := WriteTar(b.t.Context(), b.repo, &res.Root, &out, TarOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(rep.Skipped) > 0 || rep.Entries < 300 || rep.Bytes < 5_000_000 {
		b.t.Errorf("report: %+v", rep)
	}
	return out.Bytes()
}

// gnuTar runs GNU tar on an archive, in dir.
func gnuTar(t *testing.T, archive, dir string, args ...string) {
	t.Helper()
	if out, err := exec.Command("tar", "--version").Output(); err != nil || !bytes.Contains(out, []byte("GNU tar")) {
		t.Skip("GNU tar is not installed")
	}
	args = append(args, "-f", archive, "-C", dir, "--warning=no-timestamp", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")
	if out, err := exec.Command("tar", args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("tar %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestF16_TarIsReadByGNUTar: what GNU tar extracts is what was saved, with
// everything that a filesystem keeps, and GNU tar finds no difference itself.
func TestF16_TarIsReadByGNUTar(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds")
	}
	b := newBench(t)
	b.fill()
	b.decorate()
	settle()
	res := b.save(nil)
	b.flush()
	out := b.tar(res)
	file := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(out) > 10<<20 { // 30 MiB and 7 MiB of it are holes
		t.Errorf("the archive has %d bytes: holes are not left out", len(out))
	}
	gnuTar(t, file, b.root, "--compare")
	dst := t.TempDir()
	gnuTar(t, file, dst, "--extract", "--same-owner", "--preserve-permissions", "--delay-directory-restore")
	sameTrees(t, b.root, dst)
	script(t, dst, `
		[ $(stat -c %b sparse) -lt 4096 ] && [ $(stat -c %b all-hole) = 0 ] && [ $(stat -c %s all-hole) = 3145728 ]
		[ "$(stat -c %.Y nano)" = 1577836800.000000001 ] && [ "$(stat -c %.Y new)" = 10424617689.123456789 ]
		[ "$(getfattr --only-values -n user.a=b%c a)" = x=y ]
		[ $(stat -c %i hl) = $(stat -c %i hl2) ] || [ $(id -u) != 0 ]
	`)
	if os.Getuid() == 0 { // the ACLs are there for programs that know xattrs only, and for those that know ACLs only
		for _, how := range []string{"--no-acls", "--no-xattrs"} {
			other := t.TempDir()
			if out, err := exec.Command("tar", "--extract", "-f", file, "-C", other, "--xattrs", "--xattrs-include=*", "--acls", how, "--numeric-owner", "a", "d/").CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", how, err, out)
			}
			want, _ := exec.Command("getfacl", "-nR", "--absolute-names", ".").Output()
			for _, path := range []string{"a", "d"} {
				get := func(dir string) string {
					cmd := exec.Command("getfacl", "-n", path)
					cmd.Dir = dir
					acl, err := cmd.Output()
					if err != nil {
						t.Fatal(err)
					}
					return string(acl)
				}
				if a, b := get(b.root), get(other); a != b || !strings.Contains(a, ":rwx") {
					t.Errorf("%s, %s: %q, want %q (%s)", how, path, b, a, want)
				}
			}
		}
	}
}

// TestTarIsReadByOthers: Go's reader, which is not GNU's, sees the same.
func TestTarIsReadByOthers(t *testing.T) {
	b := newBench(t)
	b.fill()
	settle()
	res := b.save(nil)
	b.flush()
	seen := map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(b.tar(res))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[h.Name] = h
		if h.Typeflag != tar.TypeReg {
			continue
		}
		got, err := io.ReadAll(r)
		want, werr := os.ReadFile(filepath.Join(b.root, h.Name))
		if err != nil || werr != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %d bytes, want %d, %v, %v", h.Name, len(got), len(want), err, werr)
		}
	}
	if seen["./"] == nil || seen["a"] == nil || seen["d/e/hard"].Linkname != "a" || seen["d/link"].Linkname != "../a" || seen["sparse"].Size != 30<<20 {
		t.Errorf("entries: %d", len(seen))
	}
}

// failing takes so many bytes.
type failing struct {
	left int
	err  error
	got  bytes.Buffer
}

func (f *failing) Write(b []byte) (int, error) {
	if len(b) > f.left {
		return 0, f.err
	}
	f.left -= len(b)
	return f.got.Write(b)
}

// hasEnd says whether an archive ends as a whole one does.
func hasEnd(archive []byte) bool { return bytes.HasSuffix(archive, make([]byte, 2*tarBlock)) }

// TestTarWithoutAllContentHasNoEnd: an archive that could not be finished does
// not look like one that is.
func TestTarWithoutAllContentHasNoEnd(t *testing.T) {
	b := newBench(t)
	b.fill()
	b.write("~", strings.Repeat("the last file ends in what is not zero", 20))
	settle()
	res := b.save(nil)
	b.flush()
	whole := b.tar(res)
	if !hasEnd(whole) {
		t.Error("a whole archive has no end")
	}
	broken := errors.New("broken pipe")
	for _, at := range []int{0, 3000, len(whole) / 2, len(whole) - 2*tarBlock} {
		f := &failing{left: at, err: broken}
		if _, err := WriteTar(t.Context(), b.repo, &res.Root, f, TarOptions{}); !errors.Is(err, broken) || hasEnd(f.got.Bytes()) {
			t.Errorf("broken at %d: %v, has an end: %v", at, err, hasEnd(f.got.Bytes()))
		}
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	_, err := WriteTar(ctx, b.repo, &res.Root, &out, TarOptions{Advance: func(int64, int64) { cancel(stop) }})
	if !errors.Is(err, stop) || hasEnd(out.Bytes()) {
		t.Errorf("stopped: %v", err)
	}

	res.Root.Subtree = &repository.ID{1} // a tree that is nowhere
	out.Reset()
	if _, err := WriteTar(t.Context(), b.repo, &res.Root, &out, TarOptions{}); !errors.Is(err, repository.ErrNoBlob) || hasEnd(out.Bytes()) {
		t.Errorf("without a tree: %v, %d bytes", err, out.Len())
	}
}

func TestTarLeavesSocketsOutAndSaysSo(t *testing.T) {
	b := newBench(t)
	tree := b.plant(b.leaf("f", "1"), folder("d", b.plant(&repository.Node{Name: "sock", Type: repository.NodeSocket, Mode: os.ModeSocket | 0o600})),
		&repository.Node{Name: "what", Type: repository.NodeIrregular})
	b.flush()
	var out bytes.Buffer
	rep, err := WriteTar(t.Context(), b.repo, folder("", tree), &out, TarOptions{WithoutRoot: true})
	if err != nil || rep.Entries != 2 || rep.Bytes != 1 || len(rep.Skipped) != 2 || !hasEnd(out.Bytes()) {
		t.Fatalf("%+v, %v", rep, err)
	}
	if a, b := rep.Skipped[0], rep.Skipped[1]; a.Path != "d/sock" || !strings.Contains(a.Reason, "socket") || b.Path != "what" {
		t.Errorf("%+v", rep.Skipped)
	}
}

func TestTarRefusesContentOfAnotherSize(t *testing.T) {
	_, err := newTarHeader(&volume.Entry{Path: "f", Type: volume.File, Size: 10}, []volume.Blob{{Length: 9}})
	if !errors.Is(err, errContent) || !errors.Is(err, repository.ErrDamaged) {
		t.Error(err)
	}
}

func TestACLText(t *testing.T) {
	entry := func(tag, perm byte, id uint16) []byte {
		return []byte{tag, 0, perm, 0, byte(id), byte(id >> 8), 0, 0}
	}
	head := []byte{2, 0, 0, 0}
	good := bytes.Join([][]byte{head, entry(1, 6, 0xffff), entry(2, 5, 300), entry(4, 4, 0), entry(8, 7, 5), entry(16, 7, 0), entry(32, 0, 0)}, nil)
	if text, ok := aclText(good); !ok || text != "user::rw-,user:300:r-x,group::r--,group:5:rwx,mask::rwx,other::---" {
		t.Errorf("%q, %v", text, ok)
	}
	for _, bad := range [][]byte{nil, {2, 0, 0}, {1, 0, 0, 0}, append(head, 1), append(head, entry(3, 1, 0)...), append(head, entry(1, 8, 0)...)} {
		if text, ok := aclText(bad); ok {
			t.Errorf("%x: %q", bad, text)
		}
	}
}

func TestExtentsBeginAndEndAtBlocks(t *testing.T) {
	data, hole, odd := volume.Blob{Length: 1024}, volume.Blob{Length: 4096, Hole: true}, volume.Blob{Length: 700}
	for _, c := range []struct {
		blobs  []volume.Blob
		want   string
		pieces string
	}{
		{nil, "0+0", ""},
		{[]volume.Blob{hole}, "4096+0", ""},
		{[]volume.Blob{data, data}, "0+2048", "1024 1024"},
		{[]volume.Blob{hole, data, data, hole, hole, data}, "4096+2048 14336+1024", "1024 1024 1024"},
		{[]volume.Blob{data, hole}, "0+1024 5120+0", "1024"},
		{[]volume.Blob{odd, hole, odd, hole}, "0+1024 4608+1024 9592+0", "700 z324 z188 700 z136"},
		{[]volume.Blob{odd, {Length: 100, Hole: true}, odd}, "0+1500", "700 z100 700"},
		{[]volume.Blob{hole, odd}, "4096+700", "700"},
	} {
		var size int64
		for _, b := range c.blobs {
			size += int64(b.Length)
		}
		extents := extentsOf(c.blobs, size)
		var list, pieces []string
		var stored, filled int64
		for _, e := range extents {
			list, stored = append(list, fmt.Sprintf("%d+%d", e.offset, e.length)), stored+e.length
		}
		for _, p := range sparsePieces(c.blobs, extents) {
			mark := map[bool]string{true: "z"}[p.zeros]
			pieces, filled = append(pieces, fmt.Sprintf("%s%d", mark, p.length)), filled+p.length
		}
		if got, p := strings.Join(list, " "), strings.Join(pieces, " "); got != c.want || p != c.pieces || stored != filled {
			t.Errorf("%v: extents %s, want %s; pieces %s, want %s", c.blobs, got, c.want, p, c.pieces)
		}
	}
	if m := sparseMap([]extent{{0, 10}, {30, 0}}); string(bytes.TrimRight(m, "\x00")) != "2\n0\n10\n30\n0\n" || len(m) != tarBlock {
		t.Errorf("map %q", m)
	}
}
