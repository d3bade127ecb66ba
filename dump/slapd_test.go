package dump

import "testing"

// TestSlapdCame: a server that has made itself a new configuration is no
// restored one.
func TestSlapdCame(t *testing.T) {
	at := func(conf string, databases ...SlapdDatabase) Facts {
		return Facts{Engine: "slapd", Slapd: &SlapdFacts{Config: conf, Databases: databases}}
	}
	org, net := SlapdDatabase{1, "dc=org", "/var/lib/ldap"}, SlapdDatabase{2, "dc=net", "/var/lib/net"}
	moved := SlapdDatabase{1, "dc=org", "/srv/ldap"}
	dumped := at("/etc/ldap/slapd.d", org, net)
	for name, c := range map[string]struct {
		now  Facts
		good bool
	}{
		"the same":               {at("/etc/ldap/slapd.d", org, net), true},
		"its own elsewhere":      {at("/srv/slapd.d", org, net), true},
		"one more":               {at("/etc/ldap/slapd.d", org, net, SlapdDatabase{3, "cn=log", "/var/lib/log"}), true},
		"one is missing":         {at("/etc/ldap/slapd.d", org), false},
		"in another directory":   {at("/etc/ldap/slapd.d", moved, net), false},
		"nothing is known of it": {Facts{}, false},
	} {
		if _, err := (Slapd{}).Came(nil, dumped, c.now); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
