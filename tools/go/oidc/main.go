// A provider of OpenID Connect for tests: zitadel/oidc with the storage and the login pages of its example. Who there is stands in a
// file, groups included, which is read anew for each token, so that a test can take somebody out of a group:
//
//	oidc users.json    {"alice": {"ID": "alice", "Username": "alice", "Password": "…", "Groups": ["platform"]}}
//
// It listens on a free port of this machine and says on its first line where, which is its name as an issuer too. Its one client is
// layer0, with the secret in LAYER0_OIDC_CLIENT_SECRET.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// withGroups is the example's storage with groups, which the example has none of.
type withGroups struct {
	*storage.Storage
	file string
}

// client gets the claims about somebody in the ID token itself, as providers with a setting for it do.
type client struct{ op.Client }

func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

func (s withGroups) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found}, nil
}

func (s withGroups) SetUserinfoFromRequest(
	ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string,
) error {
	if err := s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes); err != nil {
		return err
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	users := map[string]struct{ Groups []string }{}
	if err := json.Unmarshal(text, &users); err != nil {
		return err
	}
	info.AppendClaims("groups", users[request.GetSubject()].Groups)
	return nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: oidc users.json")
	}
	users, err := storage.StoreFromFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	issuer := "http://" + listener.Addr().String()
	storage.RegisterClients(storage.DeviceClient("layer0", os.Getenv("LAYER0_OIDC_CLIENT_SECRET")))
	store := withGroups{storage.NewStorage(users), os.Args[1]}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	handler := exampleop.SetupServer(issuer, store, logger, false)
	fmt.Println(issuer)
	log.Fatal(http.Serve(listener, handler))
}
