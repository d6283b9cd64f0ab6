package auth

import (
	"testing"

	"github.com/metricstream/metricstream/tenant/db"
	"golang.org/x/crypto/bcrypt"
)

// TestNobody takes as long as those who are there.
func TestNobody(t *testing.T) {
	if cost, err := bcrypt.Cost([]byte(nobody)); err != nil || cost != db.PasswordCost {
		t.Errorf("cost %d, want %d: %v", cost, db.PasswordCost, err)
	}
}
