package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// minKey is the least width of the column with the items' names.
const minKey = 12

// maxETA is the longest time to go that is shown; beyond it is a guess.
const maxETA = 100 * time.Hour

// progressLines is one line per item, at most as many as there are rows, none
// longer than the columns.
func progressLines(items []*progressItem, columns, rows int) []string {
	if len(items) == 0 || rows <= 0 {
		return nil
	}
	rest := 0
	if len(items) > rows {
		rest = len(items) - rows + 1
		items = items[:rows-1]
	}
	wide := minKey
	for _, it := range items {
		wide = max(wide, utf8.RuneCountInString(it.label))
	}
	wide = min(wide, max(minKey, columns/2))
	var lines []string
	for _, it := range items {
		key := cut(it.label, wide)
		line := key + strings.Repeat(" ", wide-utf8.RuneCountInString(key)) + "  " + it.figures()
		lines = append(lines, cut(line, columns-1))
	}
	if rest > 0 {
		lines = append(lines, cut(fmt.Sprintf("and %d more", rest), columns-1))
	}
	return lines
}

// cut shortens text to a width in characters.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}

// figures are bytes, files, rate and the time to go.
func (it *progressItem) figures() string {
	amount := size(it.bytes)
	if it.expected > it.bytes {
		amount += " of " + size(it.expected)
	}
	parts := []string{fmt.Sprintf("%-20s", amount)}
	if it.files > 0 {
		parts = append(parts, fmt.Sprintf("%9d files", it.files))
	} else {
		parts = append(parts, strings.Repeat(" ", 15))
	}
	parts = append(parts, fmt.Sprintf("%11s", size(int64(it.rate))+"/s"))
	if eta, ok := it.eta(); ok {
		parts = append(parts, "ETA "+eta.String())
	}
	return strings.TrimRight(strings.Join(parts, "  "), " ")
}

// eta is the time to go, if what is known says.
func (it *progressItem) eta() (time.Duration, bool) {
	left := it.expected - it.bytes
	if left <= 0 || it.rate < 1 {
		return 0, false
	}
	s := float64(left) / it.rate
	if s > maxETA.Seconds() {
		return 0, false
	}
	return max(time.Second, time.Duration(s*float64(time.Second)).Round(time.Second)), true
}
