package repository

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/bits"
	"testing"
)

func unhexed(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPoly1305AES holds the MAC to the examples of Bernstein's paper.
func TestPoly1305AES(t *testing.T) {
	for _, tt := range []struct{ msg, r, k, nonce, mac string }{
		{"f3f6", "851fc40c3467ac0be05cc20404f3f700", "ec074c835580741701425b623235add6", "fb447350c4e868c52ac3275cf9d4327e", "f4c633c3044fc145f84f335cb81953de"},
		{"", "a0f3080000f46400d0c7e9076c834403", "75deaa25c09f208e1dc4ce6b5cad3fbf", "61ee09218d29b0aaed7e154a2c5509cc", "dd3fab2251f11ac759f0887129cc2ee7"},
		{"663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136", "48443d0bb0d21109c89a100b5ce2c208", "6acb5f61a7176dd320c5c1eb2edcdc74", "ae212a55399729595dea458bc621ff0e", "0ee1c16bb73f0f4fd19881753c01cdbe"},
	} {
		var m masterKey
		copy(m.K[:], unhexed(t, tt.k))
		copy(m.R[:], unhexed(t, tt.r))
		s, err := newSealer(m)
		if err != nil {
			t.Fatal(err)
		}
		// A sealed message whose ciphertext and MAC are the example's opens.
		sealed := append(unhexed(t, tt.nonce), unhexed(t, tt.msg)...)
		sealed = append(sealed, unhexed(t, tt.mac)...)
		if _, err := s.open(bytes.Clone(sealed)); err != nil {
			t.Errorf("%s: %v", tt.msg, err)
		}
		sealed[len(sealed)-1] ^= 1
		if _, err := s.open(sealed); !errors.Is(err, errMAC) {
			t.Errorf("%s: altered MAC: %v", tt.msg, err)
		}
	}
}

func TestSealOpen(t *testing.T) {
	m, err := newMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSealer(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 15, 16, 17, 100_000} {
		plain := randomData(uint64(size), size)
		sealed, err := s.sealed(plain)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.sealed(plain)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(sealed, again) {
			t.Error("the same nonce twice")
		}
		got, err := s.open(bytes.Clone(sealed))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %v", size, err)
		}
		for _, i := range []int{0, nonceSize, len(sealed) / 2, len(sealed) - 1} {
			bad := bytes.Clone(sealed)
			bad[i] ^= 0x80
			kept := bytes.Clone(bad)
			if _, err := s.open(bad); !errors.Is(err, errMAC) {
				t.Errorf("byte %d altered: %v", i, err)
			}
			if !bytes.Equal(bad, kept) {
				t.Error("decrypted before it was authenticated")
			}
		}
		if _, err := s.open(sealed[:min(len(sealed), sealOverhead-1)]); !errors.Is(err, errMAC) {
			t.Errorf("too short: %v", err)
		}
	}
}

func TestPolynomial(t *testing.T) {
	for range 5 {
		p, err := newPolynomial()
		if err != nil {
			t.Fatal(err)
		}
		if p.degree() != 53 {
			t.Errorf("%s has degree %d", p, p.degree())
		}
		back, err := parsePolynomial(p.String())
		if err != nil || back != p {
			t.Errorf("%s: %v", p, err)
		}
	}
	if !testPolynomial.irreducible() {
		t.Error("stock restic's polynomial is irreducible")
	}
	// The product of two is reducible; so is one without a constant term.
	product := polynomial(0)
	a, b := polynomial(1<<26|0x47), polynomial(1<<27|0x27)
	for i := range 27 {
		if a>>i&1 == 1 {
			product ^= b << i
		}
	}
	if product.degree() != 53 || product.irreducible() {
		t.Errorf("%s is a product", product)
	}
	for _, bad := range []string{"", "xyz", "25b468838dcb74", "b", "ffffffffffffffffff", "-1"} {
		if _, err := parsePolynomial(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestIrreducibleSmall compares Rabin's test with trial division for every
// polynomial up to degree 9.
func TestIrreducibleSmall(t *testing.T) {
	for p := polynomial(2); p < 1<<10; p++ {
		want := true
		for q := polynomial(2); q.degree() <= p.degree()/2; q++ {
			if p.mod(q) == 0 {
				want = false
				break
			}
		}
		if got := p.irreducible(); got != want {
			t.Errorf("%b: got %v, want %v (weight %d)", p, got, want, bits.OnesCount64(uint64(p)))
		}
	}
}

func TestKDFBounds(t *testing.T) {
	for _, tt := range []struct {
		k  KDF
		ok bool
	}{
		{KDF{32768, 8, 7}, true}, {KDF{65536, 8, 1}, true}, {KDF{1024, 8, 1}, true},
		{KDF{0, 8, 1}, false}, {KDF{1000, 8, 1}, false}, {KDF{1024, 0, 1}, false}, {KDF{1024, 8, 0}, false},
		{KDF{1024, -1, 1}, false}, {KDF{1 << 30, 8, 1}, false}, {KDF{1 << 20, 8, 1}, false},
		{KDF{32768, 8, 1 << 20}, false}, {KDF{1 << 62, 1, 1}, false}, {KDF{2, 1 << 40, 1}, false}, {KDF{2, 1, 1 << 62}, false},
	} {
		if err := tt.k.check(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.k, err)
		}
	}
}
