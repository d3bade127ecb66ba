package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// randomFiles writes files of 3 MiB that nothing makes smaller, total bytes in
// all: photographs, music, archives.
func randomFiles(dir string, total int64) error {
	r := rand.NewChaCha8([32]byte{seed & 0xff, 3})
	buf := make([]byte, 3<<20)
	for i := 0; total > 0; i++ {
		if i%100 == 0 {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("%03d", i/100)), 0o755); err != nil {
				return err
			}
		}
		if _, err := r.Read(buf); err != nil {
			return err
		}
		name := filepath.Join(dir, fmt.Sprintf("%03d", i/100), fmt.Sprintf("photo-%05d.jpg", i))
		if err := os.WriteFile(name, buf[:min(int64(len(buf)), total)], 0o644); err != nil {
			return err
		}
		total -= int64(len(buf))
	}
	return nil
}

// tinyFiles writes n files of up to 200 bytes, 100 to a directory: mail, caches,
// sessions.
func tinyFiles(dir string, n int) error {
	r := rand.New(rand.NewPCG(seed, 4))
	buf := make([]byte, 200)
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("%02d/%03d", i/100_000, i/100%1000))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		b := buf[:1+r.IntN(len(buf))]
		halfCompressible(r, b)
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%07d", i)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sparseFile writes one file of size bytes as a database has it: SQLite's
// header, pages of 8 KiB, and holes where nothing was stored yet, three
// quarters of it.
func sparseFile(dir string, size int64) error {
	r := rand.New(rand.NewPCG(seed, 5))
	f, err := os.Create(filepath.Join(dir, "large.db"))
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	err = f.Truncate(size)
	for at := int64(0); at < size && err == nil; at += 4 * int64(len(buf)) {
		halfCompressible(r, buf)
		if at == 0 {
			copy(buf, "SQLite format 3\x00")
		}
		_, err = f.WriteAt(buf[:min(int64(len(buf)), size-at)], at)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// scatterPages rewrites 1 % of the pages of a file that are no holes, all over
// it, as a database does.
func scatterPages(r *rand.Rand, path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	page := make([]byte, 8<<10)
	const stored = 1 << 20 / (8 << 10) // pages of each four times as many
	for n := size / int64(len(page)) / 4 / 100; n > 0 && err == nil; n-- {
		run := r.Int64N(size / (4 << 20))
		halfCompressible(r, page)
		_, err = f.WriteAt(page, run*(4<<20)+(1+r.Int64N(stored-1))*int64(len(page)))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
