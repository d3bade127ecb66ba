package volume

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Here gives a helper in this process: it works on paths as this process sees
// them, and with its rights. It makes one connection, which a job that is broken
// off takes with it. The returned function ends it, and waits.
func Here(ctx context.Context) (_ *Peer, end func() error, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, err := connOf(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	theirs, err := connOf(fds[1])
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	p := newPeer(1, func() {})
	p.reserve()
	wait := &patience{Conn: ours}
	p.add(&peerConn{conn: ours, r: bufio.NewReaderSize(wait, readBuffer), wait: wait})
	served := make(chan error, 1)
	go func() {
		defer theirs.Close()
		served <- serveJobs(ctx, theirs)
	}()
	return p, func() error {
		p.shut()
		return <-served
	}, nil
}

// connOf makes a connection of a socket, which is its own from then on.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // the connection has a descriptor of its own
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("make a connection: %w", err)
	}
	return conn, nil
}
