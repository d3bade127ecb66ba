package repository

import (
	"encoding/hex"
	"fmt"
)

// ID is a SHA-256: of a blob's plaintext, or of a file's stored bytes.
type ID [32]byte

// ParseID reads 64 hex digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 64 {
		return ID{}, fmt.Errorf("%.80q is not an ID of 64 hex digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("%q is not an ID of 64 hex digits", s)
	}
	return id, nil
}

// String returns 64 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first eight digits, as restic prints them.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero says whether no ID was set.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText makes the ID a JSON string.
func (id ID) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, id[:]), nil
}

// UnmarshalText reads what MarshalText writes.
func (id *ID) UnmarshalText(text []byte) error {
	v, err := ParseID(string(text))
	*id = v
	return err
}

// BlobType says what a blob holds.
type BlobType uint8

// The two types of blobs.
const (
	DataBlob BlobType = iota // a piece of a file
	TreeBlob                 // a directory
)

// String returns restic's word for the type.
func (t BlobType) String() string {
	if t == TreeBlob {
		return "tree"
	}
	return "data"
}

// BlobHandle names a blob.
type BlobHandle struct {
	Type BlobType
	ID   ID
}

// String names the blob in messages.
func (h BlobHandle) String() string { return h.Type.String() + " blob " + h.ID.Short() }
