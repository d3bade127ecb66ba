package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"

	"golang.org/x/sync/errgroup"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/storage"
	"github.com/ripplebak/ripplebak/storage/local"
	"github.com/ripplebak/ripplebak/volume"
)

// engineMain backs a directory up, or restores it, with the helper in the same
// process: what is left of ours without Docker. Between two runs it keeps the
// last tree and the trust in it beside the repository.
func engineMain(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: bench engine backup|restore REPOSITORY DIRECTORY")
	}
	if name := os.Getenv("BENCH_CPUPROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(10) // as the program does
	}
	ctx := context.Background()
	store, err := local.Open(args[1], local.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	repo, err := openEngine(ctx, store)
	if err != nil {
		return err
	}
	run, err := os.MkdirTemp("", "ripplebak-bench-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(run)
	l, err := volume.Listen(run)
	if err != nil {
		return err
	}
	defer l.Close()
	pending := l.Expect(1)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return volume.ServeHelper(gctx, volume.HelperOptions{Socket: pending.Socket, Token: pending.Token, Connections: 1})
	})
	peer, err := pending.Accept(ctx)
	if err != nil {
		return err
	}
	if args[0] == "backup" {
		err = engineBackup(ctx, store, repo, peer, args[1], args[2])
	} else {
		err = engineRestore(ctx, repo, peer, args[1], args[2])
	}
	return errors.Join(err, peer.Close(), g.Wait())
}

func openEngine(ctx context.Context, store storage.Store) (*repository.Repository, error) {
	repo, err := repository.Open(ctx, store.Reader(), benchPassword, repository.Options{})
	if errors.Is(err, repository.ErrNoRepository) || errors.Is(err, storage.ErrNoBucket) {
		if err := repository.Init(ctx, store.Reader(), store.Writer(), benchPassword, repository.InitOptions{}); err != nil {
			return nil, err
		}
		repo, err = repository.Open(ctx, store.Reader(), benchPassword, repository.Options{})
	}
	if err != nil {
		return nil, err
	}
	return repo, repo.LoadIndex(ctx)
}

func memoryFile(repo string) string { return filepath.Clean(repo) + ".memory" }

func engineBackup(ctx context.Context, store storage.Store, repo *repository.Repository, peer *volume.Peer, place, dir string) error {
	w, err := repo.NewWriter(ctx, store.Writer(), repository.WriterOptions{Uploads: 1})
	if err != nil {
		return err
	}
	parent, trust, err := readMemory(place)
	if err != nil {
		return err
	}
	trees := archive.NewTrees(repo, w)
	var known volume.KnownSource
	if parent != nil {
		known = archive.Known(ctx, trees, *parent, trust)
	}
	walk, err := peer.Walk(ctx, volume.WalkRequest{Root: dir}, known, nil)
	if err != nil {
		return err
	}
	defer walk.Close()
	res, err := archive.Save(ctx, w, trees, walk, parent, archive.Options{DeviceID: 1})
	if err != nil {
		return err
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	if err := writeMemory(place, res); err != nil {
		return err
	}
	return w.Close(ctx)
}

func engineRestore(ctx context.Context, repo *repository.Repository, peer *volume.Peer, place, dir string) error {
	tree, _, err := readMemory(place)
	if err != nil || tree == nil {
		return errors.Join(err, errors.New("there is nothing to restore"))
	}
	node := &repository.Node{Type: "dir", Mode: os.ModeDir | 0o755, Subtree: tree}
	_, err = archive.Restore(ctx, repo, node, peer, volume.RestoreRequest{Root: dir, ID: "bench"})
	return err
}

func writeMemory(place string, res *archive.Result) error {
	t := archive.TrustOf(res.Walk)
	text := fmt.Sprintf("%s %d %d %d %t\n", res.Tree, t.WalkStarted.Sec, t.WalkStarted.Nsec, t.Slack, t.StableInodes)
	return os.WriteFile(memoryFile(place), []byte(text), 0o600)
}

func readMemory(place string) (*repository.ID, archive.Trust, error) {
	b, err := os.ReadFile(memoryFile(place))
	if errors.Is(err, os.ErrNotExist) {
		return nil, archive.Trust{}, nil
	}
	var hex string
	var t archive.Trust
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%s %d %d %d %t", &hex, &t.WalkStarted.Sec, &t.WalkStarted.Nsec, &t.Slack, &t.StableInodes)
	}
	if err != nil {
		return nil, t, err
	}
	id, err := repository.ParseID(hex)
	return &id, t, err
}
