package archive

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Linux keeps an ACL as an attribute: a version, and for each entry its tag,
// its permissions and an ID, all little-endian (linux/posix_acl_xattr.h).
const (
	aclVersion = 2
	aclHeader  = 4
	aclEntry   = 8
)

// aclText gives an ACL as text, with numbers for names: "user::rw-,user:33:r--".
// It is false for what is no ACL.
func aclText(value []byte) (string, bool) {
	if len(value) < aclHeader || (len(value)-aclHeader)%aclEntry != 0 || binary.LittleEndian.Uint32(value) != aclVersion {
		return "", false
	}
	tags := map[uint16]string{0x01: "user", 0x02: "user", 0x04: "group", 0x08: "group", 0x10: "mask", 0x20: "other"}
	var out []string
	for rest := value[aclHeader:]; len(rest) > 0; rest = rest[aclEntry:] {
		tag, perm, id := binary.LittleEndian.Uint16(rest), binary.LittleEndian.Uint16(rest[2:]), binary.LittleEndian.Uint32(rest[4:])
		name, ok := tags[tag]
		if !ok || perm > 7 {
			return "", false
		}
		who := ""
		if tag == 0x02 || tag == 0x08 {
			who = fmt.Sprint(id)
		}
		out = append(out, name+":"+who+":"+permissions(perm))
	}
	return strings.Join(out, ","), true
}

func permissions(p uint16) string {
	out := []byte("rwx")
	for i := range out {
		if p&(4>>i) == 0 {
			out[i] = '-'
		}
	}
	return string(out)
}
