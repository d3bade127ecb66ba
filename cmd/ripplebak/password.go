package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoPassword means that nobody gave a new password, and nobody can be asked.
var errNoPassword = errors.New("there is no new password: name a file with --new-password-file, or set RIPPLEBAK_NEW_PASSWORD or RIPPLEBAK_NEW_PASSWORD_FILE")

// newPassword finds the new password: in the file that a flag names, in the
// settings, or by asking for it twice. It is never an argument, which others on
// the machine could read.
func (s *session) newPassword(ctx context.Context, file string) (string, error) {
	password := s.settings.NewPassword
	switch {
	case file != "":
		b, err := s.program.readFile(file)
		if err != nil {
			return "", fmt.Errorf("--new-password-file: %w", err)
		}
		// As for RIPPLEBAK_PASSWORD_FILE, and in stock restic.
		if password = strings.TrimSpace(string(b)); password == "" {
			return "", errors.New("--new-password-file: the file is empty")
		}
	case password == "" && !s.program.inTerminal:
		return "", errNoPassword
	case password == "":
		return s.askPassword(ctx)
	}
	return password, nil
}

// askPassword asks for the new password, twice.
func (s *session) askPassword(ctx context.Context) (string, error) {
	var answers [2]string
	for i, question := range []string{"new password: ", "\nthe same again: "} {
		if _, err := io.WriteString(s.display, question); err != nil {
			return "", err
		}
		var err error
		if answers[i], err = s.program.readSecret(ctx); err != nil {
			return "", fmt.Errorf("read the new password: %w", err)
		}
		s.redactor.Add(answers[i])
	}
	if _, err := io.WriteString(s.display, "\n"); err != nil {
		return "", err
	}
	password := answers[0]
	switch {
	case password != answers[1]:
		return "", errors.New("the two are not the same: nothing was changed")
	case password == "":
		return "", errors.New("the new password is empty: nothing was changed")
	case strings.TrimSpace(password) != password:
		return "", errors.New("the new password begins or ends with white space, which a file for it would lose: choose another")
	}
	return password, nil
}

// readSecret reads a line from a terminal, which does not show it.
func readSecret(ctx context.Context, f *os.File) (_ string, err error) {
	fd := int(f.Fd())
	shown, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	hidden := *shown
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, shown)) }()
	line, err := readLine(ctx, f)
	if err == nil && len(line) >= answerSize {
		err = fmt.Errorf("it has more than %d bytes: give it in a file", answerSize-1)
	}
	return strings.TrimSuffix(line, "\r"), err
}
