package ledger_test

import (
	"crypto/ed25519"
	"crypto/sha512"
	"math/big"
	"slices"
	"testing"
)

// The curve of RFC 8032 section 5.1, slow and plain, to craft signatures with.
var (
	curveP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curveL = func() *big.Int {
		c, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
		return c.Add(c, new(big.Int).Lsh(big.NewInt(1), 252))
	}()
	curveD = mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), curveP)))
)

func mod(v *big.Int) *big.Int { return v.Mod(v, curveP) }

type point struct{ x, y *big.Int }

func (p point) add(q point) point {
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	t := mul(curveD, mul(mul(p.x, q.x), mul(p.y, q.y)))
	over := func(n, d *big.Int) *big.Int { return mul(n, new(big.Int).ModInverse(mod(d), curveP)) }
	one := big.NewInt(1)
	return point{
		over(mod(new(big.Int).Add(mul(p.x, q.y), mul(q.x, p.y))), new(big.Int).Add(one, t)),
		over(mod(new(big.Int).Add(mul(p.y, q.y), mul(p.x, q.x))), new(big.Int).Sub(one, t)),
	}
}

func (p point) times(n *big.Int) point {
	r := point{big.NewInt(0), big.NewInt(1)}
	for i := n.BitLen() - 1; i >= 0; i-- {
		if r = r.add(r); n.Bit(i) == 1 {
			r = r.add(p)
		}
	}
	return r
}

func (p point) equal(q point) bool { return p.x.Cmp(q.x) == 0 && p.y.Cmp(q.y) == 0 }

func (p point) bytes() []byte {
	b := p.y.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	b[31] |= byte(p.x.Bit(0)) << 7
	return b
}

// lift is the point with that y and the even x.
func lift(y *big.Int) point {
	yy := mod(new(big.Int).Mul(y, y))
	den := mod(new(big.Int).Add(new(big.Int).Mul(curveD, yy), big.NewInt(1)))
	xx := mod(new(big.Int).Mul(new(big.Int).Sub(yy, big.NewInt(1)), new(big.Int).ModInverse(den, curveP)))
	x := new(big.Int).ModSqrt(xx, curveP)
	if x.Bit(0) == 1 {
		x.Sub(curveP, x)
	}
	return point{x, y}
}

func basePoint() point {
	return lift(mod(new(big.Int).Mul(big.NewInt(4), new(big.Int).ModInverse(big.NewInt(5), curveP))))
}

func littleEndian(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// smallOrderSignature signs like RFC 8032, but with the point of order 2, (0, -1), added to R.
// Whoever checks 8SB = 8R + 8kA, as verifiers of many signatures at once do, takes it; whoever
// checks SB = R + kA refuses it.
func smallOrderSignature(key ed25519.PrivateKey, msg []byte) []byte {
	h := sha512.Sum512(key.Seed())
	h[0] &= 248
	h[31] = h[31]&127 | 64
	a := littleEndian(h[:32])
	nonce := sha512.Sum512(append(slices.Clone(h[32:]), msg...))
	r := new(big.Int).Mod(littleEndian(nonce[:]), curveL)
	R := basePoint().times(r).add(point{big.NewInt(0), new(big.Int).Sub(curveP, big.NewInt(1))})
	s := challenge(R.bytes(), key.Public().(ed25519.PublicKey), msg)
	s.Mod(s.Add(s.Mul(s, a), r), curveL)
	return append(R.bytes(), littleEndianBytes(s)...)
}

func challenge(r []byte, key ed25519.PublicKey, msg []byte) *big.Int {
	k := sha512.Sum512(append(append(slices.Clone(r), key...), msg...))
	return new(big.Int).Mod(littleEndian(k[:]), curveL)
}

func littleEndianBytes(s *big.Int) []byte {
	b := s.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// holdsTimesEight checks 8SB = 8R + 8kA.
func holdsTimesEight(key ed25519.PublicKey, msg, sig []byte) bool {
	decode := func(b []byte) point {
		y := littleEndian(b)
		sign := y.Bit(255)
		p := lift(y.SetBit(y, 255, 0))
		if p.x.Bit(0) != sign {
			p.x = mod(new(big.Int).Neg(p.x))
		}
		return p
	}
	eight := big.NewInt(8)
	left := basePoint().times(littleEndian(sig[32:])).times(eight)
	right := decode(sig[:32]).add(decode(key).times(challenge(sig[:32], key, msg))).times(eight)
	return left.equal(right)
}

func TestCraftedSignatureHoldsOnlyForBatchVerifiers(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public, msg := key.Public().(ed25519.PublicKey), []byte("message")
	honest, crafted := ed25519.Sign(key, msg), smallOrderSignature(key, msg)
	if !holdsTimesEight(public, msg, honest) || holdsTimesEight(public, []byte("other"), honest) {
		t.Fatal("the check of batch verifiers is wrong here")
	}
	if !holdsTimesEight(public, msg, crafted) {
		t.Error("batch verifiers would refuse the crafted signature")
	}
	if ed25519.Verify(public, msg, crafted) {
		t.Error("crypto/ed25519 takes the crafted signature")
	}
}
