package volume

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A helper's first bytes on a connection are helloMagic and its token in hex;
// the answer is one byte. The magic carries the protocol's version: both ends
// come from one image, and if they do not, that is said plainly.
const (
	helloMagic  = "rbvol01\n"
	tokenBytes  = 32
	tokenLength = 2 * tokenBytes
	helloLength = len(helloMagic) + tokenLength

	accepted byte = 'A'
	refused  byte = 'R'

	handshakeTime = 10 * time.Second
)

// ErrRefused is what a helper gets whose token nobody expects, or no longer.
var ErrRefused = errors.New("the sidecar does not expect this helper (its token is unknown or its work is over)")

// hello introduces this helper and waits for the answer.
func hello(conn net.Conn, token string) error {
	if raw, err := hex.DecodeString(token); err != nil || len(raw) != tokenBytes {
		return errors.New("helper token: not 32 bytes in hex")
	}
	if err := conn.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, helloMagic+token); err != nil {
		return fmt.Errorf("greet the sidecar: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("wait for the sidecar's answer: %w", cut(err))
	}
	if answer[0] != accepted {
		return ErrRefused
	}
	return conn.SetDeadline(time.Time{})
}

// readHello takes a hello and gives its token, of the right length but of
// unknown worth.
func readHello(conn net.Conn) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return "", err
	}
	var buf [helloLength]byte
	if _, err := io.ReadFull(conn, buf[:]); err != nil {
		return "", cut(err)
	}
	if string(buf[:len(helloMagic)]) != helloMagic {
		return "", fmt.Errorf("%w: not a hello of this version", ErrProtocol)
	}
	return string(buf[len(helloMagic):]), nil
}

// sameToken compares without telling by its duration where two tokens differ.
func sameToken(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
