DROP INDEX changes_lost_rotation;
