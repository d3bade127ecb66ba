package volume

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// silent is a helper that takes its job and says nothing. The channel is closed
// when its connection was broken off.
func silent(t *testing.T) (*Peer, <-chan struct{}) {
	t.Helper()
	l := listen(t)
	pending := l.Expect(1)
	conn, err := net.Dial("unix", l.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := hello(conn, pending.Token); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("the helper's end: %v", err)
		}
	}()
	peer, err := pending.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return peer, over
}

// TestAHelperThatFallsSilentFailsItsFiles is a compose file on a filesystem that
// does not answer.
func TestAHelperThatFallsSilentFailsItsFiles(t *testing.T) {
	peer, over := silent(t)
	err := peer.Files(t.Context(), "/", []string{"a"}, 50*time.Millisecond, func(FoundFile) error {
		t.Error("a file came")
		return nil
	})
	if !errors.Is(err, ErrSilent) {
		t.Errorf("reading files ended with %v", err)
	}
	<-over
}

// TestAHelperThatFallsSilentFailsItsWalk is a volume whose filesystem does not
// answer, first read live and then while a service is down for it.
func TestAHelperThatFallsSilentFailsItsWalk(t *testing.T) {
	for name, spool := range map[string]*Spool{"live": nil, "spooled": {Dir: t.TempDir(), Memory: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			peer, over := silent(t)
			w, err := peer.Walk(t.Context(), WalkRequest{Root: "/", Stall: 50 * time.Millisecond}, nil, spool)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.Next(); !errors.Is(err, ErrSilent) {
				t.Errorf("the walk ended with %v", err)
			}
			select {
			case <-w.Drained():
			default:
				t.Error("nobody would start the service again")
			}
			<-over // the connection was broken off
		})
	}
}
