package settings

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// takeCheckPeriod reads a number of days.
func takeCheckPeriod(s *Settings, v string) error {
	text, isDays := strings.CutSuffix(v, "d")
	days, err := strconv.Atoi(text)
	if !isDays || err != nil || days < 1 || days > 3650 {
		return errors.New("must be a number of days, such as 90d")
	}
	s.CheckPeriod = time.Duration(days) * day
	return nil
}
