package labels

import (
	"errors"

	"github.com/ripplebak/ripplebak/retention"
)

// keep reads a retention policy.
func (p *parser) keep(value string) {
	policy, err := retention.Parse(value)
	var rule *retention.RuleError
	switch {
	case err == nil:
		p.spec.Keep = policy
	case errors.As(err, &rule):
		p.problem(rule.Rule, rule.Reason, rule.Nearest)
	default:
		p.problem("", err.Error(), "")
	}
}
