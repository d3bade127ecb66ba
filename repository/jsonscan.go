package repository

import (
	"encoding/json"
	"errors"
	"math"
	"unicode/utf8"
)

// jsonScanner reads JSON where encoding/json is too slow: trees and indexes,
// of which one run reads hundreds of megabytes. It is strict on structure,
// takes only whole numbers, and bounds nesting.
type jsonScanner struct {
	b []byte
	i int
}

// maxJSONDepth bounds nesting of values that are skipped.
const maxJSONDepth = 64

var (
	errJSON      = errors.New("not valid JSON")
	errJSONDepth = errors.New("JSON nested too deeply")
)

// space moves to the next byte that is no white space and returns it, 0 at the
// end.
func (s *jsonScanner) space() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// end demands that only white space is left.
func (s *jsonScanner) end() error {
	if s.space() != 0 || s.i < len(s.b) {
		return errJSON
	}
	return nil
}

// expect consumes c.
func (s *jsonScanner) expect(c byte) error {
	if s.space() != c {
		return errJSON
	}
	s.i++
	return nil
}

// null consumes a null if there is one.
func (s *jsonScanner) null() bool {
	if s.space() != 'n' || len(s.b)-s.i < 4 || string(s.b[s.i:s.i+4]) != "null" {
		return false
	}
	s.i += 4
	return true
}

// object calls member for each member of an object, with the scanner before
// its value. The key is valid until the scanner moves.
func (s *jsonScanner) object(member func(key []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.space() == '}' {
		s.i++
		return nil
	}
	for {
		s.space()
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return errJSON
		}
	}
}

// array calls element for each element, with the scanner before it. A null is
// an array without elements.
func (s *jsonScanner) array(element func() error) error {
	if s.null() {
		return nil
	}
	if err := s.expect('['); err != nil {
		return err
	}
	if s.space() == ']' {
		s.i++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return errJSON
		}
	}
}

// text reads a string. The result is a part of the input where nothing is
// escaped.
func (s *jsonScanner) text() ([]byte, error) {
	if s.space() != '"' {
		return nil, errJSON
	}
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return s.b[start:i], nil
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			return nil, errJSON
		}
	}
	return nil, errJSON
}

// escaped reads on a string that begins at start and has a backslash at i.
func (s *jsonScanner) escaped(start, i int) ([]byte, error) {
	out := append(make([]byte, 0, 2*(i-start)+16), s.b[start:i]...)
	for i < len(s.b) {
		c := s.b[i]
		i++
		switch {
		case c == '"':
			s.i = i
			return out, nil
		case c < ' ':
			return nil, errJSON
		case c != '\\':
			out = append(out, c)
			continue
		}
		if i >= len(s.b) {
			return nil, errJSON
		}
		c = s.b[i]
		i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n := s.unicode(i)
			if n == 0 {
				return nil, errJSON
			}
			i += n
			out = utf8.AppendRune(out, r)
		default:
			return nil, errJSON
		}
	}
	return nil, errJSON
}

// unicode reads the digits of \uXXXX at i, and a second one that forms a pair
// with it. n is the number of bytes read, 0 on an error.
func (s *jsonScanner) unicode(i int) (r rune, n int) {
	r, ok := s.hex4(i)
	if !ok {
		return 0, 0
	}
	if r < 0xd800 || r > 0xdfff {
		return r, 4
	}
	if r < 0xdc00 && i+6 <= len(s.b) && s.b[i+4] == '\\' && s.b[i+5] == 'u' {
		if low, ok := s.hex4(i + 6); ok && low >= 0xdc00 && low <= 0xdfff {
			return 0x10000 + (r-0xd800)<<10 + (low - 0xdc00), 10
		}
	}
	return utf8.RuneError, 4
}

func (s *jsonScanner) hex4(i int) (rune, bool) {
	if i+4 > len(s.b) {
		return 0, false
	}
	var r rune
	for _, c := range s.b[i : i+4] {
		d := unhex[c]
		if d > 15 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// uint reads a whole number that is not negative.
func (s *jsonScanner) uint() (uint64, error) {
	c := s.space()
	if c < '0' || c > '9' {
		return 0, errJSON
	}
	start, v := s.i, uint64(0)
	for ; s.i < len(s.b); s.i++ {
		d := uint64(s.b[s.i] - '0')
		if d > 9 {
			break
		}
		if v > (math.MaxUint64-d)/10 {
			return 0, errJSON
		}
		v = v*10 + d
	}
	if c == '0' && s.i > start+1 {
		return 0, errJSON
	}
	if s.i < len(s.b) {
		switch s.b[s.i] {
		case '.', 'e', 'E':
			return 0, errJSON
		}
	}
	return v, nil
}

// uint32 reads a number that fits into 32 bits.
func (s *jsonScanner) uint32() (uint32, error) {
	v, err := s.uint()
	if err == nil && v > math.MaxUint32 {
		err = errJSON
	}
	return uint32(v), err
}

// id reads a string of 64 hex digits.
func (s *jsonScanner) id(id *ID) error {
	text, err := s.text()
	if err != nil {
		return err
	}
	if len(text) != 64 {
		return errJSON
	}
	var bad byte
	for i := range id {
		hi, lo := unhex[text[2*i]], unhex[text[2*i+1]]
		bad |= hi | lo
		id[i] = hi<<4 | lo&15
	}
	if bad > 15 {
		return errJSON
	}
	return nil
}

// skip passes over one value of any kind and proves that it is valid JSON.
func (s *jsonScanner) skip() error {
	_, err := s.raw()
	return err
}

// raw returns the text of one value of any kind.
func (s *jsonScanner) raw() ([]byte, error) {
	s.space()
	start := s.i
	if err := s.pass(0); err != nil {
		return nil, err
	}
	return s.b[start:s.i], nil
}

// pass moves over one value at a depth of nesting.
func (s *jsonScanner) pass(depth int) error {
	if depth > maxJSONDepth {
		return errJSONDepth
	}
	switch s.space() {
	case '{':
		return s.object(func([]byte) error { return s.pass(depth + 1) })
	case '[':
		return s.array(func() error { return s.pass(depth + 1) })
	case '"':
		_, err := s.text()
		return err
	}
	start := s.i
	for s.i < len(s.b) && !delimiter(s.b[s.i]) {
		s.i++
	}
	if !json.Valid(s.b[start:s.i]) {
		return errJSON
	}
	return nil
}

func delimiter(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\n', '\r', ':', '"', '{', '[':
		return true
	}
	return false
}

// unhex maps a hex digit to its value, all else to 255.
const unhex = "" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\xff\xff\xff\xff\xff\xff" +
	"\xff\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
