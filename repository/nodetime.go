package repository

import "time"

// time reads RFC 3339 with up to nine digits of a second.
func (d *treeDecoder) time() (time.Time, error) {
	text, err := d.s.text()
	if err != nil {
		return time.Time{}, err
	}
	if t, ok := parseTime(text); ok {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{}, damaged("%.60q is not a time", text)
	}
	return t.UTC(), nil
}

// parseTime reads the usual forms fast: ok is false for all others, and for
// what is not a time.
func parseTime(b []byte) (t time.Time, ok bool) {
	if len(b) < len("2006-01-02T15:04:05Z") ||
		b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return t, false
	}
	c, bad := &timeDigits{b}, false
	year, month, day := c.two(0, &bad)*100+c.two(2, &bad), c.two(5, &bad), c.two(8, &bad)
	hour, minute, sec := c.two(11, &bad), c.two(14, &bad), c.two(17, &bad)
	if bad || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || sec > 59 {
		return t, false
	}
	i, ns := 19, 0
	if b[i] == '.' {
		scale := 100_000_000
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			ns += int(b[i]-'0') * scale
			scale /= 10
		}
		if i > 29 || i == 20 {
			return t, false
		}
	}
	offset := 0
	switch {
	case i+1 == len(b) && b[i] == 'Z':
	case i+6 == len(b) && (b[i] == '+' || b[i] == '-') && b[i+3] == ':':
		h, m := c.two(i+1, &bad), c.two(i+4, &bad)
		if bad || h > 23 || m > 59 {
			return t, false
		}
		if offset = h*3600 + m*60; b[i] == '-' {
			offset = -offset
		}
	default:
		return t, false
	}
	days := daysFromCivil(year, month, day)
	unix := int64(days)*86400 + int64(hour*3600+minute*60+sec) - int64(offset)
	return time.Unix(unix, int64(ns)).UTC(), true
}

type timeDigits struct{ b []byte }

func (d *timeDigits) two(i int, bad *bool) int {
	hi, lo := d.b[i]-'0', d.b[i+1]-'0'
	if hi > 9 || lo > 9 {
		*bad = true
	}
	return int(hi)*10 + int(lo)
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysFromCivil returns the days since 1970-01-01 of a date of the Gregorian
// calendar, by counting years that begin in March.
func daysFromCivil(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	// 146097 days in 400 years; 153 days in each five months from March on.
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	inEra := year - era*400
	inYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + inEra*365 + inEra/4 - inEra/100 + inYear - 719468
}

// minTime and maxTime are the ends of what RFC 3339 can say.
func minTime() time.Time { return time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) }
func maxTime() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC) }

// appendTime writes a time in UTC, moved to the nearest that RFC 3339 has.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	switch {
	case year < 0:
		return appendTime(dst, minTime())
	case year > 9999:
		return appendTime(dst, maxTime())
	}
	hour, minute, sec := t.Clock()
	dst = append(dst, '"', byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-')
	dst = appendTwo(dst, int(month), '-')
	dst = appendTwo(dst, day, 'T')
	dst = appendTwo(dst, hour, ':')
	dst = appendTwo(dst, minute, ':')
	dst = append(dst, byte('0'+sec/10), byte('0'+sec%10))
	if ns := t.Nanosecond(); ns != 0 {
		var frac [10]byte
		frac[0] = '.'
		end := 1
		for i := 9; i > 0; i-- {
			d := byte('0' + ns%10)
			if frac[i], ns = d, ns/10; d != '0' && end == 1 {
				end = i + 1
			}
		}
		dst = append(dst, frac[:end]...)
	}
	return append(dst, 'Z', '"')
}

func appendTwo(dst []byte, v int, sep byte) []byte {
	return append(dst, byte('0'+v/10), byte('0'+v%10), sep)
}
