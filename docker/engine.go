package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

// minAPI is what Engine 20.10 speaks. Older ones are refused.
const minAPI = "1.41"

// Options say how to reach the Engine and how patient to be. The zero value is
// what a sidecar wants.
type Options struct {
	// Host is the Engine's address as in DOCKER_HOST; "": that variable and
	// the other DOCKER_ ones, else unix:///var/run/docker.sock.
	Host string
	// CallTimeout is how long one call may take that does no work of its own,
	// such as an inspect. 0: 30 seconds.
	CallTimeout time.Duration
	// RetryFor is how long calls that may be repeated are repeated while the
	// Engine doesn't answer. 0: 1 minute; negative: never.
	RetryFor time.Duration
	// RetryPause is the first pause between two tries; it doubles up to 5
	// seconds. 0: 100 ms.
	RetryPause time.Duration
	// Grace is how long a command that is ended gets between TERM and KILL.
	// 0: 5 seconds.
	Grace time.Duration
	// Settle is how long, after its stream ended, a command may be said to
	// be running before that is an error. 0: 10 seconds.
	Settle time.Duration
	// Log gets a line when the Engine is being waited for. nil: nobody.
	Log func(msg string)
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.CallTimeout, 30*time.Second)
	def(&o.RetryFor, time.Minute)
	def(&o.RetryPause, 100*time.Millisecond)
	def(&o.Grace, 5*time.Second)
	def(&o.Settle, 10*time.Second)
	if o.Log == nil {
		o.Log = func(string) {}
	}
	return o
}

// Engine is a connection to a Docker Engine. Its methods may be called
// concurrently.
type Engine struct {
	cli *client.Client
	opt Options
}

// Info says which Engine this is.
type Info struct {
	// ID is the Engine's own identity, Name its host's name.
	ID, Name string
	// ServerVersion is the Engine's version, APIVersion what we speak with it.
	ServerVersion, APIVersion string
	// OSType is "linux" for every Engine that we can work with.
	OSType string
	// DataRoot is the host's directory of images, containers and volumes; empty
	// where the Engine does not say.
	DataRoot string
}

// Connect reaches the Engine, agrees on an API version and returns. It tries
// once: an Engine that isn't there now is an error, which says whether the
// socket is missing, may not be opened, nobody listens, or the versions don't
// meet.
func Connect(ctx context.Context, opt Options) (*Engine, error) {
	opt = opt.withDefaults()
	opts := []client.Opt{client.WithAPIVersionNegotiation()}
	if opt.Host != "" {
		opts = append(opts, client.WithTLSClientConfigFromEnv(), client.WithHost(opt.Host))
	} else {
		opts = append(opts, client.WithTLSClientConfigFromEnv(), client.WithHostFromEnv())
	}
	cli, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to docker: %w", err)
	}
	e := &Engine{cli: cli, opt: opt}
	if err := e.meet(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close releases idle connections. Streams that are still open stay open.
func (e *Engine) Close() error { return e.cli.Close() }

// Host is the address of the Engine, for messages.
func (e *Engine) Host() string { return e.cli.DaemonHost() }

// meet pings the Engine and refuses versions that don't meet ours.
func (e *Engine) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.opt.CallTimeout)
	defer cancel()
	ping, err := e.cli.Ping(ctx)
	if err != nil {
		return e.explain(ctx, "GET /_ping", err)
	}
	if ping.APIVersion == "" {
		return fmt.Errorf("what answers at %s is no docker engine, or a proxy removes its Api-Version header: %w", e.Host(), ErrAPITooOld)
	}
	if versions.LessThan(ping.APIVersion, minAPI) {
		return fmt.Errorf("docker engine speaks API %s; ripplebak needs %s (Docker 20.10) or newer: upgrade docker: %w", ping.APIVersion, minAPI, ErrAPITooOld)
	}
	e.cli.NegotiateAPIVersionPing(ping)
	v, err := e.cli.ServerVersion(ctx)
	if err != nil {
		return e.explain(ctx, "GET /version", err)
	}
	if spoken := e.cli.ClientVersion(); v.MinAPIVersion != "" && versions.LessThan(spoken, v.MinAPIVersion) {
		return fmt.Errorf("docker engine %s needs API %s or newer; this ripplebak speaks up to %s: upgrade ripplebak: %w", v.Version, v.MinAPIVersion, spoken, ErrAPITooNew)
	}
	return nil
}

// Info asks the Engine who it is.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	var out Info
	err := e.retry(ctx, "GET /info", func(ctx context.Context) error {
		i, err := e.cli.Info(ctx)
		if err != nil {
			return err
		}
		out = Info{ID: i.ID, Name: i.Name, ServerVersion: i.ServerVersion, APIVersion: e.cli.ClientVersion(), OSType: i.OSType, DataRoot: i.DockerRootDir}
		return nil
	})
	return out, err
}

// socketPath is the path of the Engine's Unix socket, "" where it has none.
func (e *Engine) socketPath() string {
	u, err := client.ParseHostURL(e.Host())
	if err != nil || u.Scheme != "unix" {
		return ""
	}
	return u.Host
}

// unreachable says why the Engine can't be reached, by a dial of its own: the
// client's error has lost the reason.
func (e *Engine) unreachable(ctx context.Context, call string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	conn, err := e.cli.Dialer()(ctx)
	if err == nil {
		return fmt.Errorf("docker engine at %s broke off %s: %w: %w", e.Host(), call, ErrEngineGone, errors.Join(cause, conn.Close()))
	}
	switch {
	case errors.Is(err, os.ErrNotExist) && e.socketPath() != "":
		return fmt.Errorf("docker socket %s is not there; mount it into the container (/var/run/docker.sock:/var/run/docker.sock): %w", e.socketPath(), ErrNoSocket)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("docker socket %s may not be opened by user %d; run as root or in the socket's group, and with security_opt label=disable under SELinux: %w", e.socketPath(), os.Getuid(), ErrNoPermission)
	}
	return fmt.Errorf("%w at %s (is docker running?): %w", ErrEngineGone, e.Host(), err)
}
