package volume

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// recoverVolume ends every restore of the volume at path that was interrupted;
// only that of id if it is not "". See Peer.Recover, and with back Peer.Undo.
func recoverVolume(path, id string, back bool, crash func(string)) (Outcome, error) {
	tree, err := openBeneath(path)
	if err != nil {
		return NothingPending, err
	}
	defer tree.close()
	pending, err := pendingRestores(tree.root)
	if err != nil {
		return NothingPending, err
	}
	outcome := NothingPending
	for _, name := range pending {
		if id != "" && name != StagingPrefix+id {
			continue
		}
		o, err := recoverOne(tree, name, back, crash)
		if err != nil {
			return o, fmt.Errorf("recover the restore %s: %w", strings.TrimPrefix(name, StagingPrefix), err)
		}
		outcome = max(outcome, o)
	}
	return outcome, nil
}

// pendingRestores gives the names of the staging directories at the root.
func pendingRestores(r *root) ([]string, error) {
	fd, err := r.openDir(r.fd, ".")
	if err != nil {
		return nil, fmt.Errorf("list the volume: %w", err)
	}
	defer unix.Close(fd) // only a handle
	names, err := list(fd)
	if err != nil {
		return nil, fmt.Errorf("list the volume: %w", err)
	}
	var out []string
	for _, d := range names {
		if isStagingName(d.text()) {
			out = append(out, strings.Clone(d.text()))
		}
	}
	return out, nil
}

func recoverOne(tree *beneath, name string, back bool, crash func(string)) (Outcome, error) {
	dir, err := tree.root.openDir(tree.root.fd, name)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return NothingPending, fmt.Errorf("%q is no directory of ours: remove it", name)
	}
	if err != nil {
		return NothingPending, err
	}
	defer unix.Close(dir) // only a handle
	head, hasHead := readHead(dir)
	outcome, cause, err := settle(tree, name, dir, back, crash)
	if err != nil {
		return NothingPending, err
	}
	if err := clearStaging(tree, name); err != nil {
		return outcome, err
	}
	if !hasHead {
		return outcome, cause
	}
	times := &head.old
	if outcome == RolledForward {
		times = &head.new
	}
	quiet := newMetaWriter(tree, func(string) {}) // the same clamping was reported when it was restored
	return outcome, errors.Join(cause, quiet.setTimes("", times))
}

// settle brings the volume to the old data or to the new, whole; with back to
// the old, unless all of the new was in already. cause is why it went back
// although it was decided to go forward.
func settle(tree *beneath, name string, dir int, back bool, crash func(string)) (outcome Outcome, cause, err error) {
	for mark, outcome := range map[string]Outcome{markDone: RolledForward, markUndone: RolledBack} {
		if is, err := marked(dir, mark); is || err != nil {
			return outcome, nil, err
		}
	}
	j, err := openJournal(dir)
	if errors.Is(err, errNoJournal) {
		return RolledBack, nil, nil // nothing had been touched
	}
	if err != nil {
		return NothingPending, nil, err
	}
	defer j.close()
	a := &applier{tree: tree, staging: name, dir: dir, meta: newMetaWriter(tree, func(string) {}), crash: crash}
	undo, err := marked(dir, markUndo)
	if err != nil {
		return NothingPending, nil, err
	}
	if a.hold, err = marked(dir, markHold); err != nil {
		return NothingPending, nil, err
	}
	if !undo && !a.hold && !back {
		if cause = a.forward(j); cause == nil {
			return RolledForward, nil, nil
		}
	}
	if err := a.back(j); err != nil {
		return NothingPending, nil, errors.Join(cause, err)
	}
	return RolledBack, cause, nil
}

// readHead reads the first record of a journal, complete or not.
func readHead(dir int) (operation, bool) {
	f, err := openIn(dir, journalName)
	if err != nil {
		return operation{}, false
	}
	defer f.Close() // only read from
	buf, err := readRecord(bufio.NewReader(f), nil)
	if err != nil {
		return operation{}, false
	}
	op, err := decodeOperation(buf)
	return op, err == nil && op.kind == opHead
}
