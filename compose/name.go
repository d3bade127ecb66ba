package compose

import "strconv"

// maxName bounds the name of a service or volume in bytes.
const maxName = 255

// validName says whether s can name a service or a volume: what Compose allows,
// without the two names that mean a directory. Such a name is safe as an
// element of a path.
func validName(s string) bool {
	if s == "" || len(s) > maxName || s == "." || s == ".." {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// IsProject says whether s can name a project.
func IsProject(s string) bool { return validName(s) }

// maxQuoted bounds what a message quotes, in bytes.
const maxQuoted = 80

// quoted makes a hostile string fit for one line of a message.
func quoted(s string) string {
	if len(s) > maxQuoted {
		s = s[:maxQuoted] + "..."
	}
	return strconv.Quote(s)
}

// short is how a container is named in a message: by its name, else by the
// beginning of its ID.
func short(c Container) string {
	if c.Name != "" {
		return quoted(c.Name)
	}
	if len(c.ID) > 12 {
		return quoted(c.ID[:12])
	}
	return quoted(c.ID)
}
