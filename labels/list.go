package labels

import "strings"

// maxItems bounds the number of items in one label.
const maxItems = 256

// split cuts a value at its commas. A comma that belongs to an item is written
// `\,`; every other backslash stays, because patterns use it themselves. Spaces
// around an item are no part of it. Items come back as written, also empty
// ones; ok is false where there are more than maxItems.
func split(value string) (items []string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\' && i+1 < len(value) && value[i+1] == ',':
			b.WriteByte(',')
			i++
		case value[i] == '\\' && i+1 < len(value):
			b.WriteString(value[i : i+2])
			i++
		case value[i] == ',':
			if len(items)+1 >= maxItems {
				return nil, false
			}
			items = append(items, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteByte(value[i])
		}
	}
	return append(items, strings.TrimSpace(b.String())), true
}

// items splits value and reports empty items and too many of them; what it
// returns holds no item twice and none that is empty.
func (p *parser) items(value string) []string {
	all, ok := split(value)
	if !ok {
		p.problem("", "lists more than "+itoa(maxItems)+" items", "")
		return nil
	}
	seen := make(map[string]bool, len(all))
	kept := make([]string, 0, len(all))
	for _, item := range all {
		if item == "" {
			p.problem("", "has an empty item in its list", "")
			continue
		}
		if !seen[item] {
			seen[item] = true
			kept = append(kept, item)
		}
	}
	return kept
}
