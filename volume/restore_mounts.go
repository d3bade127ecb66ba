package volume

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mountsBelow gives the paths, below the root, at which something else is
// mounted. A restore leaves them alone: they are not of this volume.
func mountsBelow(r *root) ([]string, error) {
	at, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(r.fd))
	if err != nil {
		return nil, fmt.Errorf("find where the volume is mounted: %w", err)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the table of mounts: %w", err)
	}
	return mountsIn(string(table), at), nil
}

// mountsIn picks what lies below the directory at from a mountinfo table.
func mountsIn(table, at string) []string {
	top := strings.TrimSuffix(at, "/") + "/"
	var out []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if rest, below := strings.CutPrefix(unescapeMount(fields[4]), top); below && rest != "" {
			out = append(out, rest)
		}
	}
	return out
}

// unescapeMount undoes the octal escapes of space, tab, newline and backslash.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
