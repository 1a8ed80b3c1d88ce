/*
 * A load generator: clients that lock and unlock in a closed loop. See tests/tools/bench/__init__.py for what it is for.
 *
 *     load unix:PATH|tcp:ADDRESS:PORT CLIENTS WARM-UP SECONDS [churn] [once] [gated] < MESSAGES
 *
 * MESSAGES are pairs of lines, a lock message and the unlock message that goes with it; client i of N begins with
 * pair i. It knows nothing of the protocol but how an answer ends and where the step and the code stand in it.
 *
 * When every client has had an answer and the warm-up is over, it writes the line "begin", and after the measured
 * time one JSON object. Only then, so that nothing of that is measured, each client waits for its last grant, unlocks,
 * and the connections are closed: a daemon of FLoM might end otherwise (docs/compatibility.md, "A waiter that vanishes
 * at its grant").
 *
 * One thread, and epoll: the machine may have few cores, and the server must have one for itself. It can open as many
 * connections as whoever starts it lets it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "times.h"

#define MAX_ANSWER 1024
#define EVENTS 256
#define PATIENCE 120 /* seconds for what has no given duration */
#define SOURCES 16   /* 127.0.0.1 and following: one address has too few ports for what churn leaves in TIME_WAIT */

static const char END_OF_MESSAGE[] = "</msg>";

struct message {
	char *text;
	size_t size;
};

struct pair { struct message lock, unlock; };

enum state { CONNECTING, ASKED, WAITING, HOLDING, DONE, LOST };

struct client {
	int fd;
	enum state state;
	bool answered, granted; /* at least once */
	size_t pair;
	uint64_t opened, asked; /* when, in ns */
	unsigned long grants;   /* while it was measured */
	size_t filled;
	char buffer[MAX_ANSWER];
};

/* what the command line says */
static size_t client_count = 1;
static double warm_up, duration; /* seconds */
static bool churns; /* a connection serves for one lock */
static bool once;   /* no client locks the same pair twice; what is measured ends with the last grant */
static bool gated;  /* the first client holds its lock until all others wait: then begins what is measured */
static struct sockaddr_storage server;
static socklen_t server_size;

static struct pair *pairs;
static size_t pair_count;
static struct client *clients;
static int poller;
static bool is_measuring, gate_open, is_ending;
static uint64_t began;
static double connecting; /* seconds, until all were connected */
static size_t connected, answered, finished;
static unsigned long errors;
static struct times waits, first_grants;

static void lose(struct client *client)
{
	errors++;
	finished++;
	if (!client->answered)
		answered++; /* nobody need wait for it any more */
	client->state = LOST;
	client->filled = 0;
	close(client->fd);
}

static void say(struct client *client, const struct message *message)
{
	/* a message is small beside a socket's buffer, and no client has more than two of them under way */
	if (send(client->fd, message->text, message->size, MSG_NOSIGNAL) != (ssize_t)message->size)
		lose(client);
}

static void ask(struct client *client)
{
	client->state = ASKED;
	client->asked = now();
	say(client, &pairs[client->pair].lock);
}

static void watch(struct client *client, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};
	if (epoll_ctl(poller, operation, client->fd, &event) < 0)
		fail("load: epoll_ctl");
}

static void greet(struct client *client, int operation)
{
	if (++connected == client_count)
		connecting = seconds_since(began);
	watch(client, operation, EPOLLIN);
	ask(client);
}

static void choose_source(const struct client *client)
{
	const int yes = 1;
	struct sockaddr_in source = {.sin_family = AF_INET};
	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)((size_t)(client - clients) % SOURCES));
	/* without the first, a lock would wait until the unlock before it is acknowledged */
	if (setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 ||
	    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes) < 0 ||
	    bind(client->fd, (struct sockaddr *)&source, sizeof source) < 0)
		fail("load: preparing a socket");
}

static void open_connection(struct client *client)
{
	/* A full queue makes a connect to a UNIX socket wait, if it may; TCP would make it wait for a second. */
	const bool is_tcp = server.ss_family == AF_INET;
	client->fd = socket(server.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (is_tcp ? SOCK_NONBLOCK : 0), 0);
	if (client->fd < 0)
		fail("load: socket");
	if (is_tcp)
		choose_source(client);
	client->filled = 0;
	client->state = CONNECTING;
	client->opened = now();
	if (connect(client->fd, (struct sockaddr *)&server, server_size) == 0) {
		greet(client, EPOLL_CTL_ADD);
	} else if (errno == EINPROGRESS) {
		watch(client, EPOLL_CTL_ADD, EPOLLOUT);
	} else {
		perror("load: connect");
		lose(client);
	}
}

static void finish_connecting(struct client *client)
{
	int error = 0;
	socklen_t size = sizeof error;
	if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
		fprintf(stderr, "load: connect: %s\n", strerror(error));
		lose(client);
		return;
	}
	greet(client, EPOLL_CTL_MOD);
}

static void give_back(struct client *client)
{
	say(client, &pairs[client->pair].unlock);
	if (client->state == LOST)
		return;
	const bool has_next = !is_ending && (!once || (churns && client->pair + client_count < pair_count));
	if (churns) {
		close(client->fd);
		client->pair = (client->pair + client_count) % pair_count;
	}
	if (!has_next) {
		client->state = DONE;
		finished++;
	} else if (churns) {
		open_connection(client);
	} else {
		ask(client);
	}
}

static void take_grant(struct client *client)
{
	const uint64_t time = now();
	client->state = HOLDING;
	if (!client->granted) {
		client->granted = true;
		add(&first_grants, time - client->opened);
	}
	if (is_measuring) {
		client->grants++;
		add(&waits, time - client->asked);
	}
	if (gated && !gate_open && client == clients)
		return;
	give_back(client);
}

static int number_after(const char *key, const char *text, const char *end)
{
	const char *found = memmem(text, (size_t)(end - text), key, strlen(key));
	return found == NULL ? -1 : atoi(found + strlen(key));
}

static void take_answer(struct client *client, const char *text, const char *end)
{
	const int step = number_after("step=\"", text, end), code = number_after("rc=\"", text, end);
	if (!client->answered) {
		client->answered = true;
		answered++;
	}
	if (code == 0 && ((client->state == ASKED && step == 16) || (client->state == WAITING && step == 24)))
		take_grant(client);
	else if (code == 1 && ((client->state == ASKED && step == 16) || (client->state == WAITING && step == 24)))
		client->state = WAITING; /* as FLoM's daemon may say again */
	else {
		fprintf(stderr, "load: not what was asked for: %.*s\n", (int)(end - text), text);
		lose(client);
	}
}

static void hear(struct client *client)
{
	const ssize_t size =
	    recv(client->fd, client->buffer + client->filled, sizeof client->buffer - client->filled, MSG_DONTWAIT);
	if (size < 0 && errno == EAGAIN)
		return;
	if (size <= 0) {
		lose(client);
		return;
	}
	client->filled += (size_t)size;
	char *text = client->buffer, *const end = client->buffer + client->filled;
	char *found;
	while ((found = memmem(text, (size_t)(end - text), END_OF_MESSAGE, strlen(END_OF_MESSAGE))) != NULL) {
		found += strlen(END_OF_MESSAGE);
		take_answer(client, text, found);
		if (client->filled == 0)
			return; /* that was the end of this connection */
		text = found;
	}
	client->filled = (size_t)(end - text);
	memmove(client->buffer, text, client->filled);
}

static void serve(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	const int count = epoll_wait(poller, events, EVENTS, timeout_ms);
	if (count < 0)
		fail("load: epoll_wait");
	for (int i = 0; i < count; i++) {
		struct client *const client = events[i].data.ptr;
		if (client->state == CONNECTING)
			finish_connecting(client);
		else
			hear(client);
	}
}

static void serve_for(double seconds)
{
	const uint64_t start = now();
	while (seconds_since(start) < seconds && finished < client_count)
		serve(10);
}

static struct message read_message(void)
{
	struct message message = {NULL, 0};
	size_t room = 0;
	const ssize_t size = getline(&message.text, &room, stdin);
	if (size > 0)
		message.size = (size_t)size - (message.text[size - 1] == '\n');
	return message;
}

static void read_messages(void)
{
	for (size_t room = 0;; pair_count++) {
		if (pair_count == room) {
			room = room ? 2 * room : 1024;
			pairs = must(realloc(pairs, room * sizeof *pairs));
		}
		pairs[pair_count].lock = read_message();
		pairs[pair_count].unlock = read_message();
		if (pairs[pair_count].unlock.size == 0)
			break;
	}
	if (pair_count < client_count) {
		fprintf(stderr, "load: %zu pairs of messages for %zu clients\n", pair_count, client_count);
		exit(1);
	}
}

static void read_server(const char *text)
{
	struct sockaddr_un *const un = (struct sockaddr_un *)&server;
	struct sockaddr_in *const in = (struct sockaddr_in *)&server;
	char address[64];
	unsigned port;
	if (strncmp(text, "unix:", 5) == 0 && strlen(text + 5) < sizeof un->sun_path) {
		un->sun_family = AF_UNIX;
		strcpy(un->sun_path, text + 5);
		server_size = sizeof *un;
	} else if (sscanf(text, "tcp:%63[^:]:%u", address, &port) == 2 && inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		server_size = sizeof *in;
	} else {
		fprintf(stderr, "load: %s is neither unix:PATH nor tcp:ADDRESS:PORT\n", text);
		exit(1);
	}
}

static void read_arguments(int argc, char **argv)
{
	if (argc < 5 || (client_count = strtoul(argv[2], NULL, 10)) == 0) {
		fprintf(stderr, "usage: load SERVER CLIENTS WARM-UP SECONDS [churn] [once] [gated] < MESSAGES\n");
		exit(1);
	}
	read_server(argv[1]);
	warm_up = atof(argv[3]);
	duration = atof(argv[4]);
	for (int i = 5; i < argc; i++) {
		churns = churns || strcmp(argv[i], "churn") == 0;
		once = once || strcmp(argv[i], "once") == 0;
		gated = gated || strcmp(argv[i], "gated") == 0;
	}
}

static void connect_all(void)
{
	began = now();
	for (size_t i = 0; i < client_count; i++) {
		clients[i].pair = i;
		open_connection(&clients[i]);
		if (i % 16 == 15)
			serve(0); /* who is connected does not wait for the others */
	}
	while (answered < client_count && finished < client_count && seconds_since(began) < PATIENCE)
		serve(10);
}

static void begin_to_measure(void)
{
	puts("begin");
	fflush(stdout);
	is_measuring = true;
	began = now();
}

static void report(double seconds)
{
	unsigned long grants = 0, least = clients[0].grants, most = 0;
	for (size_t i = 0; i < client_count; i++) {
		grants += clients[i].grants;
		least = clients[i].grants < least ? clients[i].grants : least;
		most = clients[i].grants > most ? clients[i].grants : most;
	}
	sort(&waits);
	sort(&first_grants);
	printf("{\"grants\": %lu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ", grants,
	       seconds, percentile(&waits, 50), percentile(&waits, 99), percentile(&waits, 100));
	printf("\"least\": %lu, \"most\": %lu, \"errors\": %lu, \"connect_seconds\": %.6f, ", least, most, errors,
	       connecting);
	printf("\"served\": %zu, \"first_grant_p99_us\": %.1f, \"first_grant_max_us\": %.1f}\n", first_grants.count,
	       percentile(&first_grants, 99), percentile(&first_grants, 100));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	read_arguments(argc, argv);
	read_messages();
	if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0)
		fail("load: epoll_create1");
	clients = must(calloc(client_count, sizeof *clients));

	if (once && !gated)
		begin_to_measure(); /* the connecting is a part of it */
	connect_all();
	if (answered < client_count) {
		fprintf(stderr, "load: %zu of %zu clients got no answer\n", client_count - answered, client_count);
		errors += client_count - answered;
	}
	if (!once)
		serve_for(warm_up);
	if (!is_measuring)
		begin_to_measure();
	if (gated) {
		gate_open = true;
		if (clients[0].state == HOLDING)
			give_back(&clients[0]);
	}
	serve_for(once ? PATIENCE : duration);
	report(seconds_since(began));
	is_ending = true;
	serve_for(PATIENCE);
	return 0;
}
