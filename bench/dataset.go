package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// seed makes every run measure the same data.
const seed = 20261122

// dataset is a tree of files in a Docker volume.
type dataset struct {
	name   string
	volume string // Docker's name
	dir    string // where it lies on this machine
}

// makeDataset makes the volume and fills it.
func makeDataset(ctx context.Context, opt options, name string) (*dataset, error) {
	d := &dataset{name: name, volume: "ripplebak-bench_" + name}
	if _, err := docker(ctx, "volume", "create", "--label", "com.docker.compose.project=ripplebak-bench", "--label", "com.docker.compose.volume="+name, d.volume); err != nil {
		return nil, err
	}
	out, err := docker(ctx, "volume", "inspect", "-f", "{{.Mountpoint}}", d.volume)
	if err != nil {
		return nil, err
	}
	d.dir = strings.TrimSpace(out)
	return d, d.fill(ctx, opt)
}

func (d *dataset) fill(ctx context.Context, opt options) error {
	scale := opt.scale
	switch d.name {
	case "small":
		return smallFiles(d.dir, int(100_000*scale))
	case "big":
		return bigFiles(d.dir, int64(float64(2<<30)*scale))
	case "postgres":
		return postgresDirectory(ctx, opt, d)
	case "random":
		return randomFiles(d.dir, int64(float64(3<<30)*scale))
	case "tiny":
		return tinyFiles(d.dir, int(1_000_000*scale))
	case "sparse":
		return sparseFile(d.dir, int64(float64(10<<30)*scale))
	}
	return fmt.Errorf("there is no such data set; the sets are small, big, postgres, random, tiny, sparse")
}

// manyFiles says that it is the number of files that counts.
func (d *dataset) manyFiles() bool { return d.name == "small" || d.name == "tiny" }

func (d *dataset) remove(ctx context.Context) error {
	_, err := docker(ctx, "volume", "rm", "-f", d.volume)
	return err
}

// halfCompressible fills b with bytes of which half can be compressed away.
func halfCompressible(r *rand.Rand, b []byte) {
	for i := 0; i < len(b); i += 64 {
		end := min(i+64, len(b))
		var word [8]byte
		for j := i; j < end; j += 8 {
			if j-i < 32 {
				binary.LittleEndian.PutUint64(word[:], r.Uint64())
			} else {
				binary.LittleEndian.PutUint64(word[:], 0x2020202020202020)
			}
			copy(b[j:end], word[:])
		}
	}
}

// smallFiles writes n files of 1 to 8 KiB, 100 to a directory.
func smallFiles(dir string, n int) error {
	r := rand.New(rand.NewPCG(seed, 1))
	buf := make([]byte, 8<<10)
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("%02d/%03d", i/10000, i/100%100))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		b := buf[:1<<10+r.IntN(7<<10)]
		halfCompressible(r, b)
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("file-%06d", i)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bigFiles writes files of 64 MiB, total bytes in all.
func bigFiles(dir string, total int64) error {
	r := rand.New(rand.NewPCG(seed, 2))
	buf := make([]byte, 1<<20)
	for i := 0; total > 0; i++ {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("big-%03d", i)))
		if err != nil {
			return err
		}
		for n := 0; n < 64 && total > 0 && err == nil; n++ {
			halfCompressible(r, buf)
			_, err = f.Write(buf)
			total -= int64(len(buf))
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// postgresDirectory lets a real server fill its data directory, and stops it.
func postgresDirectory(ctx context.Context, opt options, d *dataset) error {
	scale := opt.scale
	const name = "ripplebak-bench-postgres"
	if _, err := docker(ctx, "run", "-d", "--name", name, "-e", "POSTGRES_PASSWORD=bench", "-v", d.volume+":/var/lib/postgresql/data", opt.app); err != nil {
		return err
	}
	defer docker(context.WithoutCancel(ctx), "rm", "-f", name)
	if err := awaitPostgres(ctx, name); err != nil {
		return err
	}
	for _, sql := range []string{
		"SELECT setseed(0.5)",
		fmt.Sprintf("CREATE TABLE accounts AS SELECT i AS id, (random()*1000)::int AS balance, md5(random()::text)||repeat(' ', 60) AS filler FROM generate_series(1, %d) i", int(4_000_000*scale)),
		"ALTER TABLE accounts ADD PRIMARY KEY (id)",
		fmt.Sprintf("CREATE TABLE history AS SELECT i AS id, i %% 100000 AS account, md5(i::text) AS note FROM generate_series(1, %d) i", int(2_000_000*scale)),
		"VACUUM FREEZE",
		"CHECKPOINT",
	} {
		if out, err := docker(ctx, "exec", name, "psql", "-U", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	_, err := docker(ctx, "stop", "-t", "60", name)
	return err
}

func awaitPostgres(ctx context.Context, name string) error {
	var err error
	for range 120 {
		if _, err = docker(ctx, "exec", name, "pg_isready", "-q", "-h", "127.0.0.1"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return err
}

// change changes one file in a hundred, or for big files 1 % of each in place,
// differently for each round.
func (d *dataset) change(round int) error {
	r := rand.New(rand.NewPCG(seed, uint64(1000+round)))
	buf := make([]byte, 8<<10)
	return filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() <= 8<<10 {
			if r.IntN(100) != 0 {
				return nil
			}
			b := buf[:info.Size()]
			halfCompressible(r, b)
			return os.WriteFile(path, b, 0o644)
		}
		if d.name == "sparse" {
			return scatterPages(r, path, info.Size())
		}
		return changePages(r, path, info.Size(), buf)
	})
}

// changePages rewrites 1 % of a file's pages, in one run of them, as a table
// that is appended to and updated in one place is.
func changePages(r *rand.Rand, path string, size int64, page []byte) error {
	pages := size / int64(len(page))
	n := pages / 100
	if n == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	at := r.Int64N(pages - n)
	for i := int64(0); i < n && err == nil; i++ {
		halfCompressible(r, page)
		_, err = f.WriteAt(page, (at+i)*int64(len(page)))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// warm reads everything once.
func (d *dataset) warm(ctx context.Context) error { return readAll(ctx, d.dir) }

func readAll(ctx context.Context, dir string) error {
	return exec.CommandContext(ctx, "sh", "-c", `find "$1" -type f -print0 | xargs -0 cat >/dev/null`, "sh", dir).Run()
}

// empty removes everything from the volume.
func (d *dataset) empty() error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(d.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
