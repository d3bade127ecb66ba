package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/go-units"
)

// printJSON writes a value to standard output, indented.
func (s *session) printJSON(v any) error {
	b, err := encodeJSON(v, "  ")
	if err != nil {
		return err
	}
	_, err = s.program.out.Write(redactJSON(b, s.redactor.Redact))
	return err
}

// encodeJSON writes a value and a line break.
func encodeJSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	return b.Bytes(), nil
}

// redactJSON redacts the strings of a JSON text, but for the names of fields:
// a secret that looks like one must not take the structure apart, and a secret
// that JSON has to escape must be found all the same.
func redactJSON(text []byte, redact func(string) string) []byte {
	if bytes.IndexByte(text, '\\') < 0 && redact(string(text)) == string(text) {
		return text
	}
	var out bytes.Buffer
	for len(text) > 0 {
		start := bytes.IndexByte(text, '"')
		if start < 0 {
			break
		}
		out.Write(text[:start])
		text = text[start:]
		end := stringEnd(text)
		out.Write(redactString(text[:end], text[end:], redact))
		text = text[end:]
	}
	out.Write(text)
	return out.Bytes()
}

// stringEnd is where the string ends that the text begins with.
func stringEnd(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func redactString(literal, rest []byte, redact func(string) string) []byte {
	if rest = bytes.TrimLeft(rest, " \t\r\n"); len(rest) > 0 && rest[0] == ':' {
		return literal
	}
	var plain string
	if json.Unmarshal(literal, &plain) != nil {
		return []byte(redact(string(literal)))
	}
	clean := redact(plain)
	if clean == plain {
		return literal
	}
	b, err := encodeJSON(clean, "")
	if err != nil { // a string can always be encoded
		return []byte(`"***"`)
	}
	return bytes.TrimRight(b, "\n")
}

// name is a name on one line. It is redacted before it is quoted, since a
// quoted secret does not look like itself.
func (s *session) name(name string) string { return printable(s.redactor.Redact(name)) }

// size is a number of bytes for people.
func size(n int64) string { return units.BytesSize(float64(n)) }

// seconds is a duration for people.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// stampFormat is how tables show a time.
const stampFormat = "2006-01-02 15:04:05"

// when is a time for people, in the zone of the settings.
func (s *session) when(t time.Time) string { return t.In(s.settings.Location).Format(stampFormat) }
