// Keeper is an application that stores by mmap all the time, as databases do.
// When it is told to stop it stores once more, notes beside its file what the
// last value was, writes more data than fits into a buffer, and ends.
package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const size = 1 << 20

func main() {
	if err := keep(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// keep works in a directory; megabytes is how much it writes when it ends.
func keep(dir, megabytes string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	f, err := os.OpenFile(filepath.Join(dir, "mapped"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for value := binary.LittleEndian.Uint64(memory) + 1; ; value++ {
		binary.LittleEndian.PutUint64(memory, value)
		binary.LittleEndian.PutUint64(memory[size/2:], value)
		select {
		case <-stop:
			return last(dir, value, megabytes)
		case <-tick.C:
		}
	}
}

func last(dir string, value uint64, megabytes string) error {
	n, err := strconv.ParseInt(megabytes, 10, 64)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "value"), []byte(strconv.FormatUint(value, 10)), 0o600); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "last words"))
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, rand.Reader, n<<20); err != nil {
		return err
	}
	return f.Close()
}
