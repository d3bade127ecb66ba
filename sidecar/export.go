package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/ripplebak/ripplebak/archive"
	"github.com/ripplebak/ripplebak/repository"
)

// ExportOptions say what is exported, and where to.
type ExportOptions struct {
	// Snapshot is an ID, the beginning of one, or "latest".
	Snapshot string
	// Item is an item's key or name, or a path in the snapshot; empty for all.
	Item string
	// File is what is written; it must not exist. Empty: Output is written to.
	File   string
	Output io.Writer
	// Zstd compresses.
	Zstd bool
	// Recipients are those of age that it is encrypted for, RecipientFiles
	// files with one a line. With neither it is not encrypted.
	Recipients, RecipientFiles []string
}

// ExportReport says what was written.
type ExportReport struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	// Item is the item's key, or the path; absent for the whole snapshot.
	Item string `json:"item,omitempty"`
	// Format is "tar", or "file" for a dump or a file as it is.
	Format      string `json:"format"`
	Compression string `json:"compression,omitempty"`
	Recipients  int    `json:"recipients"`
	File        string `json:"file,omitempty"`
	Entries     int64  `json:"entries"`
	Bytes       int64  `json:"bytes"`
	// Size and SHA256 are of what was written.
	Size    int64           `json:"size"`
	SHA256  string          `json:"sha256"`
	Skipped []ExportSkipped `json:"skipped"`
	// NotGood are keys of items that the snapshot should hold and does not, or
	// not whole.
	NotGood []string `json:"not_good"`
	Seconds float64  `json:"seconds"`
}

// ExportSkipped is a file that an archive cannot hold.
type ExportSkipped struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Formats of an export.
const (
	formatTar  = "tar"
	formatFile = "file"
)

// Export writes a snapshot, an item of one, or what lies at a path of one as a
// tar archive, or a dump as it is. It needs no Docker. What it cannot finish
// leaves no file, or a stream without an end. ErrIncomplete, with the report,
// means that all there is was written, and that items are missing from it.
func (a *App) Export(ctx context.Context, opt ExportOptions) (report *ExportReport, err error) {
	started := a.Now()
	recipients, err := a.recipients(ctx, opt)
	if err != nil {
		return nil, err
	}
	ctx, v, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = v.ended(ctx, err) }()
	src, err := a.exportSource(ctx, v.repo, opt)
	if err != nil {
		return nil, err
	}
	if src.node.Subtree != nil {
		all, err := v.repo.HasAll(ctx, *src.node.Subtree)
		if err != nil {
			return nil, fmt.Errorf("nothing was written: snapshot %s is not whole: %w", src.snapshot.ID.Short(), err)
		}
		src.bytes = all.Bytes
	}
	report = &ExportReport{
		Snapshot: src.snapshot.ID.String(), Time: src.snapshot.Time, Item: src.name, Format: src.format(), Recipients: len(recipients),
		File: opt.File, Skipped: []ExportSkipped{}, NotGood: src.notGood,
	}
	if opt.Zstd {
		report.Compression = "zstd"
	}
	if err := a.exportTo(ctx, v.repo, src, opt, recipients, report); err != nil {
		return nil, err
	}
	report.Seconds = a.Now().Sub(started).Seconds()
	if len(report.NotGood) > 0 {
		return report, fmt.Errorf("the export is whole, the snapshot is not: %w", ErrIncomplete)
	}
	return report, nil
}

// exportTo writes to the file or to the output.
func (a *App) exportTo(ctx context.Context, repo *repository.Repository, src *exportSource, opt ExportOptions, recipients []age.Recipient, report *ExportReport) error {
	if opt.File == "" {
		return a.exportSealed(ctx, repo, src, opt.Output, recipients, report)
	}
	f, err := createExport(opt.File)
	if err != nil {
		return err
	}
	if err := a.exportSealed(ctx, repo, src, f, recipients, report); err != nil {
		return errors.Join(err, f.abandon())
	}
	return f.commit()
}

func (a *App) exportSealed(ctx context.Context, repo *repository.Repository, src *exportSource, to io.Writer, recipients []age.Recipient, report *ExportReport) error {
	s, err := newSealing(to, report.Compression != "", recipients)
	if err != nil {
		return err
	}
	name := report.Item
	if name == "" {
		name = "snapshot " + src.snapshot.ID.Short()
	}
	a.progress().Begin(name, src.bytes)
	state := "failed"
	defer func() { a.progress().End(name, state) }()
	advance := func(entries, bytes int64) { a.progress().Advance(name, entries, bytes) }
	if report.Format == formatTar {
		err = exportTar(ctx, repo, src, s, advance, report)
	} else {
		err = exportFileContent(ctx, repo, src, s, advance, report)
	}
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", name, err)
	}
	state = "exported"
	report.Size, report.SHA256 = s.out.size, s.sum()
	return nil
}

func exportTar(ctx context.Context, repo *repository.Repository, src *exportSource, to io.Writer, advance func(entries, bytes int64), report *ExportReport) error {
	found, err := archive.WriteTar(ctx, repo, src.node, to, archive.TarOptions{WithoutRoot: src.whole, Advance: advance})
	if err != nil {
		return err
	}
	report.Entries, report.Bytes = found.Entries, found.Bytes
	for _, s := range found.Skipped {
		report.Skipped = append(report.Skipped, ExportSkipped{Path: s.Path, Reason: s.Reason})
	}
	return nil
}

// exportFileContent writes a file. Its reader says EOF only after as many
// bytes as the file has, each of them authenticated.
func exportFileContent(ctx context.Context, repo *repository.Repository, src *exportSource, to io.Writer, advance func(entries, bytes int64), report *ExportReport) error {
	r := repository.NewFileReader(ctx, repo, src.node)
	n, err := io.Copy(&advancing{Writer: to, tell: advance}, r)
	err = errors.Join(err, r.Close())
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	report.Entries, report.Bytes = 1, n
	return nil
}

// advancing tells how much was written.
type advancing struct {
	io.Writer
	n    int64
	tell func(entries, bytes int64)
}

func (w *advancing) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.n += int64(n)
	w.tell(0, w.n)
	return n, err
}
