package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/waybill-go/waybill/keyring/natskv"
)

// rights asks the server what the connection may do, and checks for rights that no member needs.
func (f *doctorFlags) rights(ctx context.Context, c *checkup, s *sealedRing) {
	if r := s.wrapper.Roster(); r != nil {
		if m := r.Member(s.id.Name()); m != nil && m.MayRevoke {
			c.skip("%s may revoke, so these are an operator's credentials: run the command with a service's --identity and --creds", m.Name)
			return
		}
	}
	publish, err := publishes(ctx, s)
	if err != nil {
		c.skip("the server does not report what these credentials allow: allow them to publish to $SYS.REQ.USER.INFO")
		return
	}
	key := natskv.Key(f.domain)
	fix := fmt.Sprintf("nsc edit user NAME --allow-pub '$KV.%s.%s,$JS.API.STREAM.INFO.KV_%s,$JS.API.STREAM.MSG.GET.KV_%s' "+
		"--allow-sub '_INBOX.>,waybill.nudge.%s.>,waybill.status.%s.>' --allow-pub-response (or the same in the server's configuration)",
		f.bucket, key, f.bucket, f.bucket, f.bucket, f.bucket)
	for _, may := range []struct{ subject, what string }{
		{"$KV." + f.bucket + "." + key + "-other", "write the rings of other domains"},
		{"$JS.API.STREAM.UPDATE.KV_" + f.bucket, "change the bucket's settings"},
		{"$JS.API.STREAM.PURGE.KV_" + f.bucket, "empty the bucket"},
		{"$JS.API.STREAM.DELETE.KV_" + f.bucket, "delete the bucket"},
	} {
		if publish.allows(may.subject) {
			c.risk(fix, "anyone with these credentials may %s", may.what)
		}
	}
}

// subjects are those that a permission allows and denies. Without any, all are allowed.
type subjects struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

// publishes asks the server what the connection may publish to.
func publishes(ctx context.Context, s *sealedRing) (subjects, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	reply, err := s.conn.RequestWithContext(ctx, "$SYS.REQ.USER.INFO", nil)
	if err != nil {
		return subjects{}, err
	}
	var info struct {
		Data *struct {
			Permissions struct {
				Publish subjects `json:"publish"`
			} `json:"permissions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(reply.Data, &info); err != nil {
		return subjects{}, err
	}
	if info.Data == nil {
		return subjects{}, fmt.Errorf("%q is no description of a user", reply.Data)
	}
	return info.Data.Permissions.Publish, nil
}

func (p subjects) allows(subject string) bool {
	match := func(patterns []string) bool {
		for _, pattern := range patterns {
			if matches(strings.Split(pattern, "."), strings.Split(subject, ".")) {
				return true
			}
		}
		return false
	}
	return (len(p.Allow) == 0 || match(p.Allow)) && !match(p.Deny)
}

// matches reports whether a subject is of a pattern, in which * is one token and > one or more.
func matches(pattern, subject []string) bool {
	switch {
	case len(pattern) == 0 || len(subject) == 0:
		return len(pattern) == len(subject)
	case pattern[0] == ">":
		return true
	case pattern[0] != "*" && pattern[0] != subject[0]:
		return false
	}
	return matches(pattern[1:], subject[1:])
}
