package register

import (
	"bytes"
	"errors"
	"testing"

	"filippo.io/age"

	"pointage/ledger"
)

func TestWhoHasTheRegisterOpensItsTextsAndNobodyElse(t *testing.T) {
	e := electors(t, 3)
	one, again := opened(t, e), opened(t, e)
	plain := bytes.Repeat([]byte("x"), MaxSealable)
	sealed, err := one.SealText(plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) > ledger.MaxSealed {
		t.Fatalf("%d bytes, a statement holds %d", len(sealed), ledger.MaxSealed)
	}
	if got, err := again.OpenText(sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("another bureau reads %d bytes, %v", len(got), err)
	}
	twice, err := one.SealText(plain)
	if err != nil || bytes.Equal(twice, sealed) {
		t.Errorf("the same text is sealed alike twice, %v", err)
	}
	other := opened(t, e)
	other.key[5] ^= 1
	var nobody *age.NoIdentityMatchError
	if _, err := other.OpenText(sealed); !errors.As(err, &nobody) {
		t.Errorf("another commune's register: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if got, err := one.OpenText(bad); err == nil {
			t.Fatalf("byte %d changed, and %d bytes are read", i, len(got))
		}
	}
	if _, err := one.SealText(append(plain, 'x')); err == nil {
		t.Error("a longer text is taken")
	}
	one.Close()
	if _, err := one.SealText(plain); !errors.Is(err, ErrClosed) {
		t.Errorf("sealed by a closed register: %v", err)
	}
	if _, err := one.OpenText(sealed); !errors.Is(err, ErrClosed) {
		t.Errorf("opened by a closed register: %v", err)
	}
}

func TestWhatIsSealedToAnOfficeOpensWithItsIdentityAlone(t *testing.T) {
	office := identity(t)
	plain := bytes.Repeat([]byte("0"), 48)
	sealed, err := SealTo(office.Recipient().String(), plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) > ledger.MaxSealed {
		t.Fatalf("%d bytes, a statement holds %d", len(sealed), ledger.MaxSealed)
	}
	if got, err := OpenWith(office, sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := OpenWith(identity(t), sealed); err == nil {
		t.Error("another identity opens it")
	}
	if _, err := opened(t, electors(t, 1)).OpenText(sealed); err == nil {
		t.Error("a bureau opens it")
	}
	for _, bad := range []string{"", "age1pq1qq", office.String()} {
		if _, err := SealTo(bad, plain); err == nil || bytes.Contains([]byte(err.Error()), []byte("AGE-SECRET")) {
			t.Errorf("sealed to no recipient, or told: %v", err)
		}
	}
}
