package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/ripplebak/ripplebak/manifest"
	"github.com/ripplebak/ripplebak/repository"
	"github.com/ripplebak/ripplebak/sidecar"
)

const (
	// listedSnapshots is how many snapshots are offered, the newest.
	listedSnapshots = 20
	// patience is how often a question is asked again that got no answer.
	patience = 3
)

// choose asks which snapshot to restore, and, unless options say so, which of
// its items. The plan and its question come after.
func (s *session) choose(ctx context.Context, opt *sidecar.RestoreOptions) error {
	list, err := s.app.Snapshots(ctx, false)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(i sidecar.SnapshotInfo) bool { return i.Items == nil })
	if len(list) == 0 {
		return fmt.Errorf("there is nothing to choose from: %w", repository.ErrNoSnapshot)
	}
	slices.Reverse(list)
	of, err := s.chooseSnapshot(ctx, list, opt)
	if err != nil || len(opt.Services)+len(opt.Volumes)+len(opt.Databases)+len(opt.Paths) > 0 {
		return err
	}
	return s.chooseItems(ctx, of, opt)
}

// chooseSnapshot sets the snapshot, and gives the one whose items are offered.
func (s *session) chooseSnapshot(ctx context.Context, list []sidecar.SnapshotInfo, opt *sidecar.RestoreOptions) (sidecar.SnapshotInfo, error) {
	offered := list[:min(len(list), listedSnapshots)]
	newest := slices.IndexFunc(list, func(i sidecar.SnapshotInfo) bool { return !i.Safety })
	err := s.printTo(s.display, func(out io.Writer) error {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		if newest >= 0 {
			fmt.Fprintln(t, "  0\tlatest\teach item from the newest snapshot in which it is good")
		}
		for i, sn := range offered {
			fmt.Fprintf(t, "%3d\t%s\t%s\t%s\t%s\n", i+1, sn.ShortID, s.when(sn.Time), size(sn.Bytes), s.snapshotResult(sn))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if len(list) > len(offered) {
			fmt.Fprintf(out, "and %d older ones, which \"snapshots\" lists, and --at TIME finds\n", len(list)-len(offered))
		}
		return nil
	})
	if err != nil {
		return sidecar.SnapshotInfo{}, err
	}
	question, otherwise := "\nwhich snapshot, by number or ID? [0] ", "0"
	if newest < 0 {
		question, otherwise = "\nwhich snapshot, by number or ID? ", ""
	}
	var chosen sidecar.SnapshotInfo
	err = s.askUntil(ctx, question, otherwise, func(answer string) error {
		if answer == "0" && newest >= 0 || answer == "latest" && newest >= 0 {
			chosen, opt.Snapshot = list[newest], "latest"
			return nil
		}
		i, err := pickSnapshot(list, len(offered), answer)
		if err == nil {
			chosen, opt.Snapshot = list[i], list[i].ID
		}
		return err
	})
	return chosen, err
}

// pickSnapshot finds a snapshot by its number in the list, or by the beginning
// of its ID.
func pickSnapshot(list []sidecar.SnapshotInfo, numbered int, answer string) (int, error) {
	if n, err := strconv.Atoi(answer); err == nil && len(answer) < 4 && n >= 1 && n <= numbered {
		return n - 1, nil
	}
	found := -1
	for i, sn := range list {
		if len(answer) < 4 || !strings.HasPrefix(sn.ID, answer) {
			continue
		}
		if found >= 0 {
			return 0, errors.New("several IDs begin so")
		}
		found = i
	}
	if found < 0 {
		return 0, errors.New("no snapshot has that number, or an ID that begins so")
	}
	return found, nil
}

// chooseItems sets which items are restored; none is all of them. The roles of
// a server come with its databases.
func (s *session) chooseItems(ctx context.Context, of sidecar.SnapshotInfo, opt *sidecar.RestoreOptions) error {
	var items []sidecar.ItemInfo
	latest := opt.Snapshot == "latest" // what was not saved there comes from an older one
	for _, it := range of.Items {
		stored := it.State == manifest.Good || it.State == manifest.Partial
		if (stored || latest) && chooses(it.Key, &sidecar.RestoreOptions{}) {
			items = append(items, it)
		}
	}
	if len(items) < 2 {
		return nil
	}
	err := s.printTo(s.display, func(out io.Writer) error {
		fmt.Fprintln(out)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for i, it := range items {
			fmt.Fprintf(t, "%3d\t%s\t%s\t%s\n", i+1, s.name(it.Key), size(it.Bytes), it.State)
		}
		return t.Flush()
	})
	if err != nil {
		return err
	}
	return s.askUntil(ctx, "\nwhich of them, by numbers such as 1,3? [all] ", "all", func(answer string) error {
		var picked sidecar.RestoreOptions
		if answer != "all" {
			for text := range strings.FieldsFuncSeq(answer, func(r rune) bool { return r == ',' || r == ' ' }) {
				n, err := strconv.Atoi(text)
				if err != nil || n < 1 || n > len(items) {
					return fmt.Errorf("there is no number %s", text)
				}
				chooses(items[n-1].Key, &picked)
			}
			if len(picked.Volumes)+len(picked.Databases) == 0 {
				return errors.New("that names none")
			}
		}
		opt.Volumes, opt.Databases = picked.Volumes, picked.Databases
		return nil
	})
}

// chooses adds an item, by its key, to what is restored. It is false for what
// cannot be chosen by itself.
func chooses(key string, opt *sidecar.RestoreOptions) bool {
	kind, name, _ := strings.Cut(key, " ")
	switch {
	case kind == string(manifest.Volume):
		opt.Volumes = append(opt.Volumes, name)
	case kind == string(manifest.Dump) && strings.Contains(name, "/"):
		opt.Databases = append(opt.Databases, name)
	default:
		return false
	}
	return true
}

// askUntil asks until take takes the answer, and gives up after some times. No
// answer at all, or "q", declines.
func (s *session) askUntil(ctx context.Context, question, otherwise string, take func(answer string) error) error {
	for range patience {
		if _, err := io.WriteString(s.display, question); err != nil {
			return err
		}
		answer, err := s.program.readLine(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the answer: %w", err)
		}
		answer = strings.TrimSpace(answer)
		if answer == "" && err == nil {
			answer = otherwise
		}
		if answer == "" && err != nil || answer == "q" {
			break
		}
		fault := take(answer)
		if fault == nil {
			return nil
		}
		if _, err := fmt.Fprintf(s.display, "%s: %s\n", s.name(answer), fault); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: nothing was touched", sidecar.ErrDeclined)
}
