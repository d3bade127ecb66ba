package repository

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
)

// polynomial is a polynomial over GF(2); bit i is the coefficient of x^i.
//
// The config of a repository carries an irreducible one of degree 53. Stock
// restic cuts files with it; we key our own chunker from it.
type polynomial uint64

const polynomialDegree = 53

// newPolynomial draws an irreducible polynomial of degree 53 with a constant
// term. About one in 27 of those is irreducible.
func newPolynomial() (polynomial, error) {
	for range 100_000 {
		var raw [8]byte
		if _, err := rand.Read(raw[:]); err != nil {
			return 0, fmt.Errorf("draw a polynomial: %w", err)
		}
		p := polynomial(binary.LittleEndian.Uint64(raw[:]))
		p = p&(1<<polynomialDegree-1) | 1<<polynomialDegree | 1
		if p.irreducible() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("draw a polynomial: none of 100000 is irreducible, the random source is broken")
}

// parsePolynomial reads the hex form of the config.
func parsePolynomial(s string) (polynomial, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a polynomial in hex", s)
	}
	p := polynomial(v)
	if p.degree() != polynomialDegree || !p.irreducible() {
		return 0, fmt.Errorf("%s is not an irreducible polynomial of degree %d", p, polynomialDegree)
	}
	return p, nil
}

// String returns the hex form that the config carries.
func (p polynomial) String() string { return strconv.FormatUint(uint64(p), 16) }

// degree returns the highest exponent, -1 for zero.
func (p polynomial) degree() int { return bits.Len64(uint64(p)) - 1 }

// mod returns the remainder of p divided by q, which is not zero.
func (p polynomial) mod(q polynomial) polynomial {
	for d := q.degree(); p.degree() >= d; {
		p ^= q << (p.degree() - d)
	}
	return p
}

// mulMod returns p*q mod m, for p and q of a lower degree than m, and m of a
// degree below 63.
func (p polynomial) mulMod(q, m polynomial) polynomial {
	var sum polynomial
	top := polynomial(1) << m.degree()
	for ; q != 0; q >>= 1 {
		if q&1 != 0 {
			sum ^= p
		}
		p <<= 1
		if p&top != 0 {
			p ^= m
		}
	}
	return sum
}

// gcd returns the greatest common divisor.
func (p polynomial) gcd(q polynomial) polynomial {
	for q != 0 {
		p, q = q, p.mod(q)
	}
	return p
}

// powerOfX returns x^(2^n) mod p.
func (p polynomial) powerOfX(n int) polynomial {
	v := polynomial(2).mod(p)
	for range n {
		v = v.mulMod(v, p)
	}
	return v
}

// irreducible is Rabin's test: p of degree d is irreducible if x^(2^d) = x
// (mod p), and for each prime q that divides d, x^(2^(d/q)) - x has no factor
// in common with p.
func (p polynomial) irreducible() bool {
	d := p.degree()
	if d < 1 || d > 62 {
		return false
	}
	x := polynomial(2).mod(p)
	for _, q := range primeFactors(d) {
		if p.gcd(p.powerOfX(d/q)^x) != 1 {
			return false
		}
	}
	return p.powerOfX(d) == x
}

// primeFactors returns the distinct primes that divide n.
func primeFactors(n int) []int {
	var out []int
	for q := 2; q <= n; q++ {
		if n%q != 0 {
			continue
		}
		out = append(out, q)
		for n%q == 0 {
			n /= q
		}
	}
	return out
}
