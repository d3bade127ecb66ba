package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ripplebak/ripplebak/sidecar"
)

func (p *program) findCommand() *cobra.Command {
	var opt sidecar.FindOptions
	var newer, older string
	cmd := &cobra.Command{
		Use:   "find PATTERN...",
		Short: "Find a file in the snapshots, with its versions",
		Long: "find lists the files of the project's snapshots that match one of the patterns, each\n" +
			"with its versions: contents that differ, with the snapshots that hold them. A pattern\n" +
			"is one as ripplebak.exclude has them: *.jpg and a/b match at any depth, /a from the\n" +
			"root of a volume only, and ** goes over folders. It needs no Docker.\n\n" +
			"--newer and --older take a date (2026-03-01, 2026-03-01 12:00:00) or how long ago that\n" +
			"was (36h, 7d), and look at when the file was last changed.\n\n" +
			"With --json it prints one object per line.\n\n" +
			repositoryCodes(),
		Example: example("find 'invoice-*.pdf'", "where is it, and since when", "find --item 'volume uploads' --newer 7d '/2026/**'", "what has changed in a week"),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{cmd, errors.New("PATTERN is missing")}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&opt.Item, "item", "", "look in this item only, for example \"volume uploads\"")
	cmd.Flags().BoolVar(&opt.All, "all", false, "look in other projects' snapshots too")
	cmd.Flags().StringVar(&newer, "newer", "", "only files changed since then")
	cmd.Flags().StringVar(&older, "older", "", "only files not changed since then")
	addJSON(cmd)
	addFrom(cmd)
	cmd.RunE = p.with(func(ctx context.Context, s *session, args []string) error {
		opt.Patterns = args
		for _, f := range []struct {
			flag, text string
			to         *time.Time
		}{{"newer", newer, &opt.Newer}, {"older", older, &opt.Older}} {
			at, err := s.moment(f.text)
			if err != nil {
				return &usageError{cmd, fmt.Errorf("--%s: %w", f.flag, err)}
			}
			*f.to = at
		}
		out := findings{newStream(s)}
		err := s.app.Find(ctx, opt, out.add)
		return errors.Join(err, out.flush())
	})
	return cmd
}

// moment reads a date, in the zone of the settings, or a time before now. An
// empty text is the zero time.
func (s *session) moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, stampFormat, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, s.settings.Location); err == nil {
			return at, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return s.program.now().In(s.settings.Location).AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return s.program.now().Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a date, such as 2026-03-01, nor a time, such as 36h or 7d", text)
}

// foundLine is a path of find as JSON.
type foundLine struct {
	sidecar.FoundFile
	PathRaw  []byte         `json:"path_raw,omitempty"`
	Versions []foundVersion `json:"versions"` // in place of the file's
}

type foundVersion struct {
	sidecar.FoundVersion
	ModTime   fileTime `json:"mtime"` // in place of the version's
	TargetRaw []byte   `json:"target_raw,omitempty"`
}

// findings prints files as they are found.
type findings struct{ *stream }

func (f findings) add(file sidecar.FoundFile) error {
	if f.session.json {
		line := foundLine{FoundFile: file, PathRaw: rawName(file.Path), Versions: []foundVersion{}}
		for _, v := range file.Versions {
			line.Versions = append(line.Versions, foundVersion{FoundVersion: v, ModTime: fileTime(v.ModTime), TargetRaw: rawName(v.Target)})
		}
		return f.object(line)
	}
	s := f.session
	if err := f.row("%s", s.name(file.Path)); err != nil {
		return err
	}
	for _, v := range file.Versions {
		what := size(int64(v.Size))
		if v.Type != "file" {
			what = v.Type
		}
		target := ""
		if v.Target != "" {
			target = "  -> " + s.name(v.Target)
		}
		if err := f.row("  %10s  %s  %s%s", what, s.when(v.ModTime), s.holders(v.Snapshots), target); err != nil {
			return err
		}
	}
	return nil
}

// holders names the snapshots that hold a version, by the first and the last.
func (s *session) holders(in []sidecar.FoundIn) string {
	first, last := in[0], in[len(in)-1]
	text := fmt.Sprintf("in %s of %s", shortID(first.ID), s.when(first.Time))
	switch len(in) {
	case 1:
		return text
	case 2:
		return text + fmt.Sprintf(" and %s of %s", shortID(last.ID), s.when(last.Time))
	}
	return text + fmt.Sprintf(" to %s of %s, %d snapshots", shortID(last.ID), s.when(last.Time), len(in))
}
