package repository

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Trees are encoded by hand: a run over 200,000 files writes 90 MB of them.

// treeStart and treeEnd frame the nodes. Stock restic ends its trees with a
// newline too.
const (
	treeStart = `{"nodes":[`
	treeEnd   = "]}\n"
)

// appendTree encodes a tree. It returns ErrOrder where two names are equal or
// out of order.
func appendTree(dst []byte, t *Tree) ([]byte, error) {
	dst = append(dst, treeStart...)
	last := ""
	for i, n := range t.Nodes {
		if i > 0 {
			if n.Name <= last {
				return dst, fmt.Errorf("tree: %w: %.200q after %.200q", ErrOrder, n.Name, last)
			}
			dst = append(dst, ',')
		}
		if !validName(n.Name) {
			return dst, fmt.Errorf("tree: %.200q cannot be the name of a node", n.Name)
		}
		last = n.Name
		dst = appendNode(dst, n)
	}
	return append(dst, treeEnd...), nil
}

func appendNode(dst []byte, n *Node) []byte {
	dst = append(dst, `{"name":"`...)
	dst = appendQuotedName(dst, n.Name)
	dst = append(dst, `","type":`...)
	dst = appendString(dst, n.Type)
	if n.Mode != 0 {
		dst = append(dst, `,"mode":`...)
		dst = strconv.AppendUint(dst, uint64(n.Mode), 10)
	}
	dst = appendTime(append(dst, `,"mtime":`...), n.ModTime)
	dst = appendTime(append(dst, `,"atime":`...), n.AccessTime)
	dst = appendTime(append(dst, `,"ctime":`...), n.ChangeTime)
	dst = append(dst, `,"uid":`...)
	dst = strconv.AppendUint(dst, uint64(n.UID), 10)
	dst = append(dst, `,"gid":`...)
	dst = strconv.AppendUint(dst, uint64(n.GID), 10)
	dst = appendStringMember(dst, `,"user":`, n.User)
	dst = appendStringMember(dst, `,"group":`, n.Group)
	dst = appendUintMember(dst, `,"inode":`, n.Inode)
	dst = appendUintMember(dst, `,"device_id":`, n.DeviceID)
	dst = appendUintMember(dst, `,"size":`, n.Size)
	dst = appendUintMember(dst, `,"links":`, n.Links)
	dst = appendLinkTarget(dst, n.LinkTarget)
	dst = appendXattrs(dst, n.ExtendedAttributes)
	dst = appendUintMember(dst, `,"device":`, n.Device)
	dst = appendContent(dst, n)
	if n.Subtree != nil {
		dst = append(dst, `,"subtree":"`...)
		dst = hex.AppendEncode(dst, n.Subtree[:])
		dst = append(dst, '"')
	}
	dst = appendStringMember(dst, `,"error":`, n.Error)
	if len(n.Unknown) > 0 {
		dst = append(append(dst, ','), n.Unknown...)
	}
	return append(dst, '}')
}

func appendUintMember(dst []byte, key string, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, key...), v, 10)
}

func appendStringMember(dst []byte, key, v string) []byte {
	if v == "" {
		return dst
	}
	return appendString(append(dst, key...), v)
}

// appendContent writes null for what has no content, a list for files.
func appendContent(dst []byte, n *Node) []byte {
	if n.Content == nil && n.Type != NodeFile {
		return append(dst, `,"content":null`...)
	}
	dst = append(dst, `,"content":[`...)
	for i := range n.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, n.Content[i][:])
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

// appendLinkTarget writes the target as text, and where it is not UTF-8, its
// bytes beside it.
func appendLinkTarget(dst []byte, target string) []byte {
	if target == "" {
		return dst
	}
	dst = appendString(append(dst, `,"linktarget":`...), target)
	if !utf8.ValidString(target) {
		dst = append(dst, `,"linktarget_raw":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(target))
		dst = append(dst, '"')
	}
	return dst
}

// appendXattrs writes names as text, and where one is not UTF-8, its bytes
// beside it, which stock restic skips.
func appendXattrs(dst []byte, attrs []ExtendedAttribute) []byte {
	if len(attrs) == 0 {
		return dst
	}
	dst = append(dst, `,"extended_attributes":[`...)
	for i := range attrs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `{"name":`...), attrs[i].Name)
		if !utf8.ValidString(attrs[i].Name) {
			dst = append(dst, `,"name_raw":"`...)
			dst = base64.StdEncoding.AppendEncode(dst, []byte(attrs[i].Name))
			dst = append(dst, '"')
		}
		dst = append(dst, `,"value":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, attrs[i].Value)
		dst = append(dst, `"}`...)
	}
	return append(dst, ']')
}

// appendQuotedName writes the inside of a JSON string that holds the name as
// strconv.Quote writes it, without the quotes: raw bytes survive, and the
// backslashes are escaped once more by JSON.
func appendQuotedName(dst []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted := strconv.Quote(name)
			return appendEscaped(dst, quoted[1:len(quoted)-1])
		}
	}
	return append(dst, name...)
}

// appendString writes a JSON string.
func appendString(dst []byte, s string) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped writes the inside of a JSON string. Bytes that are not UTF-8
// become U+FFFD.
func appendEscaped(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
