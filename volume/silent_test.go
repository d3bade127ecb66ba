package volume

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestAHelperThatFallsSilentFailsItsWalk is a volume whose filesystem does not
// answer, first read live and then while a service is down for it.
func TestAHelperThatFallsSilentFailsItsWalk(t *testing.T) {
	for name, spool := range map[string]*Spool{"live": nil, "spooled": {Dir: t.TempDir(), Memory: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			pending := l.Expect(1)
			conn, err := net.Dial("unix", l.Path())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := hello(conn, pending.Token); err != nil {
				t.Fatal(err)
			}
			silent := make(chan struct{})
			go func() { // takes its job and says nothing
				defer close(silent)
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("the helper's end: %v", err)
				}
			}()
			peer, err := pending.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
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
			<-silent // the connection was broken off
		})
	}
}
