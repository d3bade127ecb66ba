package settings

import (
	"errors"
	"strconv"
	"strings"

	"github.com/ripplebak/ripplebak/retention"
)

// takeKeep reads a policy. Its error says what is wrong without the value.
func takeKeep(s *Settings, v string) (err error) {
	s.Keep, err = parseKeep(v)
	return err
}

func parseKeep(v string) (retention.Policy, error) {
	p, err := retention.Parse(v)
	var rule *retention.RuleError
	if errors.As(err, &rule) && rule.Rule != "" {
		return p, &retention.RuleError{Reason: "a part of it " + rule.Reason, Nearest: rule.Nearest}
	}
	return p, err
}

// takeKeepMinimum reads a number of snapshots. None at all is refused: what a
// policy means by mistake must not take the last backup.
func takeKeepMinimum(s *Settings, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > retention.MaxCount {
		return errors.New("must be a number from 1 to " + strconv.Itoa(retention.MaxCount))
	}
	s.KeepMinimum = n
	return nil
}

// takeShrinkLimit reads a percentage; with 100 nothing but a jump upwards
// raises suspicion.
func takeShrinkLimit(s *Settings, v string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(v, "%"))
	if err != nil || n < 1 || n > 100 {
		return errors.New("must be a percentage from 1% to 100%")
	}
	s.ShrinkLimit = float64(n) / 100
	return nil
}
