package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// gateway is an S3 server on loopback. Its bucket is a directory, so that what
// was stored can be measured.
type gateway struct {
	host string
	dir  string
	cmd  *exec.Cmd
}

const (
	gatewayBucket = "bench"
	gatewayKey    = "AKIABENCH"
	gatewaySecret = "secret-of-the-benchmark"
)

// startGateway starts the server over a directory.
func startGateway(ctx context.Context, program, dir string) (*gateway, error) {
	if program == "" {
		return nil, errors.New("BENCH_VERSITYGW is not set: run it by \"make bench\"")
	}
	if err := os.MkdirAll(filepath.Join(dir, gatewayBucket), 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{host: l.Addr().String(), dir: dir}
	if err := l.Close(); err != nil {
		return nil, err
	}
	g.cmd = exec.CommandContext(ctx, program, "--access", gatewayKey, "--secret", gatewaySecret, "--port", g.host, "--quiet", "--keep-alive", "posix", dir)
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		c, err := net.DialTimeout("tcp", g.host, time.Second)
		if err == nil {
			return g, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("%s does not listen", program), g.stop())
}

func (g *gateway) stop() error {
	if err := g.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = g.cmd.Wait() // it was killed
	return nil
}

// location is a repository on the server, and path where its files lie.
func (g *gateway) location(name string) string {
	return "s3:http://" + g.host + "/" + gatewayBucket + "/" + name
}
func (g *gateway) path(name string) string { return filepath.Join(g.dir, gatewayBucket, name) }

func (g *gateway) env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + gatewayKey, "AWS_SECRET_ACCESS_KEY=" + gatewaySecret, "AWS_REGION=us-east-1"}
}
