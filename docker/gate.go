package docker

import (
	"crypto/rand"
	"encoding/base64"
	"io"
)

// tokenSize is the length of a token: 24 random bytes as text.
const tokenSize = 32

// newToken is fresh and harmless in a shell script and in text.
func newToken() string {
	var b [tokenSize / 4 * 3]byte
	rand.Read(b[:]) // never fails, by its contract
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// gateArgv wraps a command, so that its output ends with the token if, and
// only if, it succeeded.
func gateArgv(token string, argv []string) []string {
	return append([]string{"sh", "-c", `"$@" && printf %s ` + "'" + token + "'", "ripplebak"}, argv...)
}

// gate holds the last bytes of a stream back and lets the end through only if
// they are the token. Whether the stream may end is for passed to say.
type gate struct {
	r     io.Reader
	token string
	buf   []byte
	// [from, to) of buf is read and not given out yet.
	from, to int
	end      error
}

func newGate(r io.Reader, token string) *gate {
	return &gate{r: r, token: token, buf: make([]byte, 64<<10)}
}

func (g *gate) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for g.to-g.from <= tokenSize {
		if g.end != nil {
			return 0, g.end
		}
		if len(g.buf)-g.to < len(g.buf)/2 {
			g.to = copy(g.buf, g.buf[g.from:g.to])
			g.from = 0
		}
		n, err := g.r.Read(g.buf[g.to:])
		g.to += n
		g.end = err
	}
	n := copy(p, g.buf[g.from:g.to-tokenSize])
	g.from += n
	return n, nil
}

// passed reports whether the stream ended with the token.
func (g *gate) passed() bool {
	return g.end == io.EOF && string(g.buf[g.from:g.to]) == g.token
}

// rest is what is held back.
func (g *gate) rest() []byte { return g.buf[g.from:g.to] }
