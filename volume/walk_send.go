package volume

import (
	"archive/tar"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strconv"
)

// A walk travels as a tar stream. Its entries, by name:
//
//	events    a batch of records, at most maxEvents
//	contents  the content of the files of the batch before it, end to end
//	segment   a part of the content of the file that the last record began;
//	          its offset is a PAX record; with a hole, which is another, it
//	          has no bytes
//	end       the end record, always one block of header: the counts, and the
//	          length and XXH3 of all bytes of the stream before its header
//
// The size of each is known before it is sent.
const (
	tarEvents   = "events"
	tarContents = "contents"
	tarSegment  = "segment"
	tarEnd      = "end"

	paxOffset = "RIPPLEBAK.offset"
	paxHole   = "RIPPLEBAK.hole"

	tarBlock = 512
	maxEnd   = 64 << 10
)

// endRecord is the content of the last entry.
type endRecord struct {
	WalkResult
	Length int64  `json:"length"`
	Sum    string `json:"xxh3"`
}

// sender writes a walk's stream.
type sender struct {
	tw   *tar.Writer
	sum  summing
	recs recordWriter
}

func newSender(w io.Writer) *sender {
	s := &sender{sum: summing{w: w, hash: newStreamSum()}}
	s.tw = tar.NewWriter(&s.sum)
	s.recs.reset()
	return s
}

// summing counts and hashes what it passes on.
type summing struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (s *summing) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	return n, err
}

func (s *sender) put(name string, content []byte) error {
	if err := s.tw.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600, Format: tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	_, err := s.tw.Write(content)
	return err
}

// flush sends the records, and the content that they announced.
func (s *sender) flush(content []byte) error {
	if s.recs.empty() {
		return nil
	}
	if int64(len(content)) != s.recs.inline {
		return fmt.Errorf("volume walk: %d bytes of content for records that announce %d", len(content), s.recs.inline)
	}
	if err := s.put(tarEvents, s.recs.batch()); err != nil {
		return err
	}
	s.recs.reset()
	if len(content) == 0 {
		return nil
	}
	return s.put(tarContents, content)
}

// segment sends a part of the current file's content.
func (s *sender) segment(offset int64, content []byte) error {
	return s.part(offset, content, nil)
}

// hole sends length zeros as what they are.
func (s *sender) hole(offset, length int64) error {
	return s.part(offset, nil, map[string]string{paxHole: strconv.FormatInt(length, 10)})
}

func (s *sender) part(offset int64, content []byte, records map[string]string) error {
	if records == nil {
		records = map[string]string{}
	}
	records[paxOffset] = strconv.FormatInt(offset, 10)
	if err := s.tw.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: tarSegment, Size: int64(len(content)), Mode: 0o600,
		PAXRecords: records, Format: tar.FormatPAX,
	}); err != nil {
		return err
	}
	_, err := s.tw.Write(content)
	return err
}

// end sends the end record; nothing may follow.
func (s *sender) end(res WalkResult) error {
	if err := s.tw.Flush(); err != nil { // the padding belongs to what is hashed
		return err
	}
	rec, err := json.Marshal(endRecord{
		WalkResult: res, Length: s.sum.n, Sum: hex.EncodeToString(s.sum.hash.Sum(nil)),
	})
	if err != nil {
		return err
	}
	if err := s.put(tarEnd, rec); err != nil {
		return err
	}
	return s.tw.Close()
}
