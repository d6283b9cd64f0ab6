package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// verifiedFor is how long a good password is remembered, so that not every request costs the 50 ms of its hash.
	verifiedFor = 5 * time.Minute

	// maxVerified bounds what is remembered, and checksAtOnce how much of the machine passwords can take.
	maxVerified  = 10_000
	checksAtOnce = 2
)

// passwords checks passwords against their hashes.
type passwords struct {
	secret [32]byte // of this process
	slots  chan struct{}

	mu       sync.Mutex
	verified map[[sha256.Size]byte]time.Time // until when
}

func newPasswords() *passwords {
	p := &passwords{slots: make(chan struct{}, checksAtOnce), verified: map[[sha256.Size]byte]time.Time{}}
	rand.Read(p.secret[:]) // never fails, see its documentation
	return p
}

// good tells whether a hash is of a password. An error is that ctx ended first.
func (p *passwords) good(ctx context.Context, hash, password string, now time.Time) (bool, error) {
	// The hash is another one for each user and each change, so what is remembered ends with the password.
	id := p.identity(hash, password)
	if p.remembers(id, now) {
		return true, nil
	}
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	if p.remembers(id, now) { // while this one waited
		return true, nil
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return false, nil
	}
	p.remember(id, now)
	return true, nil
}

// wrong takes as long as good does for a password that is not: for users who are not there.
func (p *passwords) wrong(ctx context.Context, hash, password string) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer p.leave()
	_ = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	return nil
}

func (p *passwords) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *passwords) leave() { <-p.slots }

// identity does not tell the password to who reads the memory later.
func (p *passwords) identity(hash, password string) (id [sha256.Size]byte) {
	m := hmac.New(sha256.New, p.secret[:])
	m.Write([]byte(hash)) // always of the same length
	m.Write([]byte(password))
	m.Sum(id[:0])
	return id
}

func (p *passwords) remembers(id [sha256.Size]byte, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.verified[id])
}

func (p *passwords) remember(id [sha256.Size]byte, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.verified) >= maxVerified {
		clear(p.verified)
	}
	p.verified[id] = now.Add(verifiedFor)
}
