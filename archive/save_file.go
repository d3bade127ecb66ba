package archive

import (
	"errors"
	"fmt"
	"io"

	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/volume"
)

// pendingFiles is how many files of one directory may wait for their content
// before the oldest is waited for.
const pendingFiles = 1024

// file saves a file with its content.
func (s *saver) file(e *volume.Entry) error {
	d := s.top()
	before := s.compare(e)
	n := s.node(e)
	s.res.Files++
	path, inode, links := e.Path, e.Inode, e.Links
	content, err := s.content(e, before)
	if err != nil {
		return err
	}
	d.nodes = append(d.nodes, n)
	d.files = append(d.files, file{node: n, Content: content})
	if links > 1 {
		s.links[inode] = &linked{content: content, xattrs: n.ExtendedAttributes, left: links - 1}
	}
	s.progress(path)
	if len(d.files)-d.resolved <= pendingFiles {
		return nil
	}
	d.resolved++
	return d.files[d.resolved-1].resolve(s.ctx)
}

// content writes a file's segments into the repository.
func (s *saver) content(e *volume.Entry, before *repository.Node) (*repository.Content, error) {
	var fw *repository.FileWriter
	path, entry := e.Path, *e
	fail := func(err error) (*repository.Content, error) {
		if fw != nil {
			fw.Abandon()
		}
		return nil, fmt.Errorf("save %q: %w", path, err)
	}
	for {
		seg, r, err := s.walk.NextSegment()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(err)
		}
		if fw == nil {
			head, err := s.begin(seg, r)
			if err != nil {
				return fail(err)
			}
			fw = s.w.NewFile(chooseCut(&entry, head, before))
			if _, err := fw.Write(head); err != nil {
				return fail(err)
			}
		}
		if seg.Hole {
			err = fw.Hole(seg.Length)
		} else {
			s.res.BytesRead += seg.Length
			_, err = fw.ReadFrom(r)
		}
		if err != nil {
			return fail(err)
		}
	}
	if fw == nil {
		fw = s.w.NewFile(repository.CutFile)
	}
	return fw.Finish(), nil
}

// begin reads the first bytes of a file's first segment.
func (s *saver) begin(seg volume.Segment, r io.Reader) ([]byte, error) {
	if seg.Hole {
		return nil, nil
	}
	if s.head == nil {
		s.head = make([]byte, headSize)
	}
	n, err := io.ReadFull(r, s.head[:min(headSize, seg.Length)])
	return s.head[:n], err
}
