package sidecar

import "strings"

// publicOptions are a volume's options without passwords: a CIFS volume has
// its password among the mount options. withheld says that one was left out.
func publicOptions(options map[string]string) (public map[string]string, withheld bool) {
	if options == nil {
		return nil, false
	}
	public = map[string]string{}
	for name, value := range options {
		if isPassword(name) {
			withheld = true
			continue
		}
		var keep []string
		for _, part := range strings.Split(value, ",") {
			if key, _, ok := strings.Cut(part, "="); ok && isPassword(key) {
				withheld = true
				continue
			}
			keep = append(keep, part)
		}
		public[name] = strings.Join(keep, ",")
	}
	return public, withheld
}

func isPassword(key string) bool {
	key = strings.ToLower(strings.TrimSpace(key))
	for _, word := range []string{"pass", "secret", "token", "apikey", "api_key", "accesskey", "access_key"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}
