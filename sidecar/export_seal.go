package sidecar

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// exportBuffer is what is written at once, in bytes.
const exportBuffer = 256 << 10

// sealing is the way from an archive to where it is written: compressed, then
// encrypted, where that is wanted. What has not been finished has no end: zstd
// and age both take it for cut off.
type sealing struct {
	io.Writer // what is to be sealed goes in here
	zstd      *zstd.Encoder
	age       io.WriteCloser
	buffer    *bufio.Writer
	out       *measured
}

// measured counts and hashes what goes through it.
type measured struct {
	to   io.Writer
	size int64
	hash hash.Hash
}

func (m *measured) Write(b []byte) (int, error) {
	n, err := m.to.Write(b)
	m.size += int64(n)
	m.hash.Write(b[:n]) // never fails
	return n, err
}

func newSealing(to io.Writer, compress bool, recipients []age.Recipient) (*sealing, error) {
	s := &sealing{out: &measured{to: to, hash: sha256.New()}}
	s.buffer = bufio.NewWriterSize(s.out, exportBuffer)
	s.Writer = s.buffer
	var err error
	if len(recipients) > 0 {
		if s.age, err = age.Encrypt(s.Writer, recipients...); err != nil {
			return nil, fmt.Errorf("encrypt with age: %w", err)
		}
		s.Writer = s.age
	}
	if compress {
		if s.zstd, err = zstd.NewWriter(s.Writer); err != nil {
			return nil, fmt.Errorf("set up zstd: %w", err)
		}
		s.Writer = s.zstd
	}
	return s, nil
}

// finish writes the ends, once what was to be sealed is whole.
func (s *sealing) finish() error {
	if s.zstd != nil {
		if err := s.zstd.Close(); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
	}
	if s.age != nil {
		if err := s.age.Close(); err != nil {
			return fmt.Errorf("encrypt: %w", err)
		}
	}
	return s.buffer.Flush()
}

func (s *sealing) sum() string { return hex.EncodeToString(s.out.hash.Sum(nil)) }

// recipients are those that an export is to be encrypted for; none leave it
// as it is.
func (a *App) recipients(ctx context.Context, opt ExportOptions) ([]age.Recipient, error) {
	tell := func(text string) { a.Log.Info().Msg(a.Redactor().Redact(text)) }
	var out []age.Recipient
	for _, text := range opt.Recipients {
		r, err := parseRecipient(text, tell)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	for _, name := range opt.RecipientFiles {
		list, err := recipientFile(name, tell)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, ctx.Err()
}

func recipientFile(name string, tell func(string)) (_ []age.Recipient, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	defer f.Close() // only read
	list, err := readRecipients(f, tell)
	if err != nil {
		return nil, fmt.Errorf("recipients in %s: %w", name, err)
	}
	return list, nil
}
