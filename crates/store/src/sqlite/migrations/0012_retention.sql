-- Which images of an owner are kept, and when tags were pushed: those that are there count from when what they point to was.
ALTER TABLE owner ADD COLUMN retention TEXT; -- JSON, where there are rules
ALTER TABLE image_tag ADD COLUMN pushed INTEGER NOT NULL DEFAULT 0;
UPDATE image_tag SET pushed = (SELECT pushed FROM manifest WHERE number = image_tag.manifest);
