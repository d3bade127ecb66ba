package volume

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listen(t *testing.T) *Listener {
	t.Helper()
	l, err := Listen(socketDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestTheSocketIsItsOwnersAloneAndGoesAway(t *testing.T) {
	dir := socketDir(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is open to others: %v, %v", info.Mode(), err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := l.Expect(1).Accept(t.Context()); !errors.Is(err, ErrPeerClosed) {
		t.Errorf("a helper was expected after the end: %v", err)
	}
}

func TestSocketsOfTheDeadAreRemoved(t *testing.T) {
	dir := socketDir(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	bind := func(name string) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, name)}); err != nil {
			t.Fatal(err)
		}
	}
	bind("helper-old.sock")
	bind("helper-young.sock")
	bind("foreign.sock")
	before := time.Now().Add(-time.Hour)
	for _, name := range []string{"helper-old.sock", "foreign.sock"} {
		if err := os.Chtimes(filepath.Join(dir, name), before, before); err != nil {
			t.Fatal(err)
		}
	}
	alive, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	if err := os.Chtimes(alive.Path(), before, before); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for path, want := range map[string]bool{
		filepath.Join(dir, "helper-old.sock"): false, filepath.Join(dir, "helper-young.sock"): true,
		filepath.Join(dir, "foreign.sock"): true, alive.Path(): true,
	} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", path, err == nil, want)
		}
	}
}

func TestASocketPathThatIsTooLongIsSaid(t *testing.T) {
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("d", 90))); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("got %v", err)
	}
}

func TestWhoHasNoTokenIsRefused(t *testing.T) {
	l := listen(t)
	pending := l.Expect(1)
	defer pending.Close()
	other := l.Expect(1)
	other.Close()
	for name, token := range map[string]string{
		"unknown": strings.Repeat("ab", tokenBytes), "of a helper that is over": other.Token,
		"upper case": strings.ToUpper(pending.Token[:tokenLength-1]) + "G",
	} {
		err := ServeHelper(t.Context(), HelperOptions{Socket: l.Path(), Token: token})
		if err == nil || name != "upper case" && !errors.Is(err, ErrRefused) {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	if n := pending.peer.connections(); n != 0 {
		t.Errorf("%d connections were taken", n)
	}
}

func TestAListenerSurvivesGarbage(t *testing.T) {
	l := listen(t)
	pending := l.Expect(2)
	var wg sync.WaitGroup
	for _, garbage := range []string{
		"", "x", "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x", 200), helloMagic,
		helloMagic + strings.Repeat("\x00", tokenLength), strings.Repeat("\xff", helloLength), helloMagic + pending.Token[:tokenLength-1],
	} {
		wg.Go(func() {
			conn, err := net.Dial("unix", l.Path())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, garbage)
			conn.(*net.UnixConn).CloseWrite()
			answer, _ := io.ReadAll(conn)
			if strings.ContainsRune(string(answer), rune(accepted)) {
				t.Errorf("%.20q was accepted", garbage)
			}
		})
	}
	wg.Wait()
	helper := make(chan error, 1)
	go func() {
		helper <- ServeHelper(context.Background(), HelperOptions{Socket: l.Path(), Token: pending.Token, Connections: 2})
	}()
	peer, err := pending.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The token is known, but all connections are there.
	if err := ServeHelper(t.Context(), HelperOptions{Socket: l.Path(), Token: pending.Token}); !errors.Is(err, ErrRefused) {
		t.Errorf("one connection too many: %v", err)
	}
	peer.Close()
	if err := <-helper; err != nil {
		t.Errorf("the helper: %v", err)
	}
}

func TestAHelperThatDoesNotComeIsNotWaitedForForever(t *testing.T) {
	l := listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := l.Expect(3).Accept(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "0 of 3") {
		t.Errorf("got %v", err)
	}
}

func TestJobsWaitForAConnection(t *testing.T) {
	peer := connect(t, 2)
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), []byte("content"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			w, err := peer.Walk(t.Context(), WalkRequest{Root: root}, nil, nil)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := tryCollect(w)
			if err != nil || string(got.content["f"]) != "content" {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	wg.Wait()
	peer.Close()
	if _, err := peer.Walk(t.Context(), WalkRequest{Root: root}, nil, nil); !errors.Is(err, ErrPeerClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestAHelperOutlivesJobsThatEndAsTheyBegin: however early a job is broken off,
// the helper is there for the next one.
func TestAHelperOutlivesJobsThatEndAsTheyBegin(t *testing.T) {
	p := connect(t, 1)
	dir := t.TempDir()
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		if i%2 == 0 {
			cancel()
		} else {
			go cancel()
		}
		// It may have been done before it was to end.
		if _, err := p.Recover(ctx, dir, "x"); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("try %d: %v", i, err)
		}
		cancel()
		if _, err := p.Recover(t.Context(), dir, "x"); err != nil {
			t.Fatalf("after try %d: %v", i, err)
		}
	}
}

func TestAnUnknownJobIsSaid(t *testing.T) {
	peer := connect(t, 1)
	for _, header := range []any{map[string]string{"job": "format"}, []string{"x"}} {
		c, err := peer.start(t.Context(), header)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var remote *RemoteError
		if _, err := io.ReadAll(readerOnly{c.stream}); !errors.As(err, &remote) {
			t.Errorf("got %v", err)
		}
		c.done()
	}
}

// A helper whose container is killed ends its walk with an error, at once.
func TestAHelperThatDiesFailsItsWalk(t *testing.T) {
	l := listen(t)
	pending := l.Expect(1)
	ctx, kill := context.WithCancel(t.Context())
	helper := make(chan error, 1)
	go func() {
		helper <- ServeHelper(ctx, HelperOptions{Socket: l.Path(), Token: pending.Token, Connections: 1})
	}()
	peer, err := pending.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	root := t.TempDir()
	write(t, filepath.Join(root, "big"), make([]byte, 32<<20))
	w, err := peer.Walk(t.Context(), WalkRequest{Root: root}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Next(); err != nil {
		t.Fatal(err)
	}
	kill()
	if err := <-helper; !errors.Is(err, context.Canceled) {
		t.Errorf("the helper: %v", err)
	}
	if _, err = tryCollect(w); err == nil {
		t.Error("the walk ended well")
	}
	select {
	case <-w.Drained():
	default:
		t.Error("nobody would start the service again")
	}
}
