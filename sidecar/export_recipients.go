package sidecar

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// pluginBinary is how the program of an age plugin is called; its name follows.
const pluginBinary = "age-plugin-"

// parseRecipient reads one age recipient: a native one, or one of a plugin,
// whose program must be there. tell is given what a plugin has to say.
func parseRecipient(text string, tell func(string)) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(text, "AGE-SECRET-KEY-"), strings.HasPrefix(text, "AGE-PLUGIN-"):
		return nil, errors.New("a recipient is wanted, and this is an identity: keep it secret, and give what age-keygen -y prints for it")
	case strings.HasPrefix(text, "age1pq1"):
		r, err := age.ParseHybridRecipient(text)
		if err != nil {
			return nil, badRecipient(text)
		}
		return r, nil
	case strings.HasPrefix(text, "age1") && strings.Count(text, "1") > 1:
		// "1" ends the name of a plugin; it is no character of keys.
		return pluginRecipient(text, tell)
	}
	r, err := age.ParseX25519Recipient(text)
	if err != nil {
		return nil, badRecipient(text)
	}
	return r, nil
}

// badRecipient leaves out what the parser says, which repeats the text whole.
func badRecipient(text string) error {
	return fmt.Errorf("recipient %.80q is not one of age, or is mistyped: one looks like age1... and comes from age-keygen", text)
}

func pluginRecipient(text string, tell func(string)) (age.Recipient, error) {
	name, _, err := plugin.ParseRecipient(text)
	if err != nil {
		return nil, badRecipient(text)
	}
	if _, err := exec.LookPath(pluginBinary + name); err != nil {
		return nil, fmt.Errorf("recipient %.80q is one of the age plugin %q: put %s%s into PATH", text, name, pluginBinary, name)
	}
	r, err := plugin.NewRecipient(text, pluginUI(tell))
	if err != nil {
		return nil, badRecipient(text)
	}
	return r, nil
}

// pluginUI lets a plugin speak, and asks nobody for it.
func pluginUI(tell func(string)) *plugin.ClientUI {
	say := func(name, text string) error {
		tell(fmt.Sprintf("age plugin %s: %s", name, text))
		return nil
	}
	unasked := errors.New("nobody is asked for a plugin")
	return &plugin.ClientUI{
		DisplayMessage: say,
		RequestValue: func(name, prompt string, _ bool) (string, error) {
			return "", errors.Join(say(name, "asks, and gets no answer: "+prompt), unasked)
		},
		Confirm: func(name, prompt, _, _ string) (bool, error) {
			return false, errors.Join(say(name, "asks, and gets no answer: "+prompt), unasked)
		},
		WaitTimer: func(name string) { tell("waiting for the age plugin " + name) },
	}
}

// maxRecipientLine bounds a line of a file of recipients, in bytes. Those of
// hybrid keys have about two thousand.
const maxRecipientLine = 64 << 10

// readRecipients reads a file of recipients, one a line, without those that
// are empty or begin with "#".
func readRecipients(r io.Reader, tell func(string)) ([]age.Recipient, error) {
	var out []age.Recipient
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRecipientLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		one, err := parseRecipient(text, tell)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, one)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("it names no recipient")
	}
	return out, nil
}
